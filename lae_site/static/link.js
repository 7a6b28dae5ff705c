// A mailed link has its code after the "#": move the code into the form, out of the URL.
"use strict";
(() => {
  const field = document.getElementById("link");
  const code = location.hash.slice(1);
  if (!field || !code) return;
  field.value = code;
  document.getElementById("by-hand").hidden = true;
  history.replaceState(null, "", location.pathname);
})();
