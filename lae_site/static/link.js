// A mail's link has its code behind the "#": it is put into the form, and out of sight.
"use strict";
(() => {
  const field = document.getElementById("link");
  const code = location.hash.slice(1);
  if (!field || !code) return;
  field.value = code;
  document.getElementById("by-hand").hidden = true;
  history.replaceState(null, "", location.pathname);
})();
