"use strict";

// Without what the package adds for sessions: requests here carry a token, and no CSRF header
// ends up in the curl commands that people copy.
SwaggerUIBundle({
  url: "{{ schema_url|escapejs }}",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  ...{{ settings|safe }},
});
