"use strict";

// Swagger UI has a dark scheme, but only its own top bar switches it on.
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const applyScheme = () => document.documentElement.classList.toggle("dark-mode", prefersDark.matches);
prefersDark.addEventListener("change", applyScheme);
applyScheme();

// Folds the response headers: those of the document, and those of a response. Swagger UI has no component for the
// latter, so this adds a second list, and swagger.css hides the first one.
const FoldedHeaders = ({ React: { createElement } }) => {
  const folded = (...content) =>
    createElement("details", { className: "folded-headers" }, createElement("summary", null, "Response headers"), ...content);
  return {
    wrapComponents: {
      headers: (Headers) => (props) => props.headers?.size ? folded(createElement(Headers, props)) : null,
      liveResponse: (LiveResponse) => (props) => {
        const lines = Object.entries(props.response.get("headers")?.toJS() ?? {}).map((header) => header.join(": "));
        return createElement(
          "div", null,
          createElement(LiveResponse, props),
          lines.length ? folded(createElement("pre", null, lines.join("\n"))) : null,
        );
      },
    },
  };
};

// Like the package's template, but without its CSRF header: the API uses tokens, and the header would
// appear in the curl commands that users copy.
const ui = SwaggerUIBundle({
  url: "{{ schema_url|escapejs }}",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [FoldedHeaders],
  layout: "BaseLayout",
  ...{{ settings|safe }},
});

// Opens an operation for a link such as #/Events/event_list. Swagger UI only does this when the page loads.
function openOperation(hash) {
  const [, tag, id] = decodeURIComponent(hash).split("/");
  if (!id) return;
  ui.layoutActions.show(["operations-tag", tag], true);
  ui.layoutActions.show(["operations", tag, id], true);
  // Swagger UI replaces the spaces of a tag in an element's id.
  const block = `operations-${tag.replaceAll(" ", "_")}-${id}`;
  requestAnimationFrame(() => document.getElementById(block)?.scrollIntoView());
}

addEventListener("hashchange", () => openOperation(location.hash));
document.addEventListener("click", (event) => {
  const link = event.target.closest(".info a[href^='#/']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openOperation(link.hash);
});
