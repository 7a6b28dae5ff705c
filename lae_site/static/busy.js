// A form that was sent says so: the next page may take seconds.
"use strict";
(() => {
  const SLOW_AFTER = 4000; // ms
  for (const form of document.querySelectorAll("form[data-busy]")) {
    const button = form.querySelector("button[type=submit]");
    const slow = document.getElementById("slow");
    const words = button.textContent;
    let waiting;
    form.addEventListener("submit", (event) => {
      if (button.getAttribute("aria-busy") === "true") {
        event.preventDefault();
        return;
      }
      button.setAttribute("aria-busy", "true");
      button.textContent = form.dataset.busy;
      waiting = setTimeout(() => (slow.hidden = false), SLOW_AFTER);
    });
    // A browser that goes back shows the page as it was left.
    addEventListener("pageshow", () => {
      clearTimeout(waiting);
      button.removeAttribute("aria-busy");
      button.textContent = words;
      slow.hidden = true;
    });
  }
})();
