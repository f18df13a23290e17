"use strict";

// Like the package's template, but without its CSRF header: the API uses tokens, and the header would
// appear in the curl commands that users copy.
SwaggerUIBundle({
  url: "{{ schema_url|escapejs }}",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  ...{{ settings|safe }},
});
