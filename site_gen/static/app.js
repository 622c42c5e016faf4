// Says how long ago things were and whether the pages are still kept fresh. Everything
// else works without it.
"use strict";
(() => {
  const ago = (ms) => {
    const minutes = Math.floor(ms / 60000);
    if (minutes < 1) return "just now";
    if (minutes < 90) return `${minutes} min ago`;
    const hours = Math.round(minutes / 60);
    return hours < 36 ? `${hours} h ago` : `${Math.round(hours / 24)} d ago`;
  };
  const words = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  const ages = () => {
    for (const element of document.querySelectorAll("time")) {
      const at = new Date(element.dateTime);
      element.title = words.format(at);
      element.textContent = ago(Date.now() - at);
    }
  };

  const freshness = () => {
    const beat = window.bullpenHeartbeat;
    const stale = document.getElementById("stale");
    const footer = document.getElementById("beat");
    if (!beat) return;
    const age = Date.now() - beat.at;
    stale.hidden = age <= beat.interval * 3000;
    if (!stale.hidden) {
      stale.textContent = `⚠ These pages may be out of date: Bullpen last wrote ${ago(age)}.`;
    }
    footer.hidden = false;
    footer.textContent = `Bullpen last looked ${ago(age)}.`;
  };

  const listen = () => {
    const old = document.querySelector("script[data-beat]");
    const next = document.createElement("script");
    next.dataset.beat = "";
    next.src = `${old.src.split("?")[0]}?${Date.now()}`;
    next.onload = freshness;
    next.onerror = freshness;
    old.replaceWith(next);
  };

  const turn = () => { ages(); freshness(); };
  turn();
  setInterval(turn, 30000);
  const beat = window.bullpenHeartbeat;
  setInterval(listen, Math.max(5, beat ? beat.interval : 60) * 1000);
})();
