// Keeps the status page up to date.  Without this script the page reloads itself.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // Times are in UTC, as in our mails; pointing at one shows the visitor's own.
  const localTimes = (inside) => {
    for (const time of inside.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.getTime())) time.title = moment.toLocaleString();
    }
  };

  const showCopyButtons = (inside) => {
    if (!navigator.clipboard) return;
    for (const button of inside.querySelectorAll("[data-copy]")) {
      button.classList.add("works");
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the furl and copy it by hand";
    }
  });

  const dress = (inside) => {
    localTimes(inside);
    showCopyButtons(inside);
  };

  const say = (id, text) => {
    // Change only what differs, so that screen readers announce nothing else.
    if (byId(id).textContent !== text) byId(id).textContent = text;
  };

  const shown = new Map();
  const put = (name, html) => {
    const region = document.querySelector(`[data-region="${name}"]`);
    // An unchanged region is left alone: it may have the focus or a selection.
    if (!region || shown.get(name) === html) return;
    shown.set(name, html);
    const opened = [...region.querySelectorAll("details")].map((d) => d.open);
    region.innerHTML = html;
    region.querySelectorAll("details").forEach((details, i) => {
      if (i in opened) details.open = opened[i];
    });
    dress(region);
  };

  dress(document);
  const live = byId("live");
  if (!live || !live.dataset.events) return;

  const SHOWN_AFTER = 4000; // ms; a stream that ends is opened again within two seconds
  const events = new EventSource(live.dataset.events);
  let lost;
  const connected = () => {
    clearTimeout(lost);
    lost = undefined;
    byId("offline").hidden = true;
  };
  const disconnected = () => {
    if (events.readyState !== EventSource.CLOSED) byId("offline").hidden = false;
  };
  events.addEventListener("open", connected);
  addEventListener("offline", disconnected);
  addEventListener("online", () => {
    if (events.readyState === EventSource.OPEN) connected();
  });
  events.addEventListener("view", (event) => {
    const view = JSON.parse(event.data);
    byId("away").hidden = true;
    say("title", view.title);
    say("headline", view.headline);
    document.title = `${view.title} · S4`;
    for (const [name, html] of Object.entries(view.regions)) put(name, html);
  });
  events.addEventListener("away", () => {
    byId("away").hidden = false;
  });
  events.addEventListener("over", () => {
    connected();
    events.close();
  });
  events.addEventListener("error", () => {
    // A browser reconnects by itself, except after an error status.
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(() => location.reload(), 5000);
    } else {
      lost ??= setTimeout(disconnected, SHOWN_AFTER);
    }
  });
})();
