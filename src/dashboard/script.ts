/**
 * Renews the figures of the page every ten seconds while somebody looks at it. Everything works without it. What it puts
 * into the page is markup that this server made and escaped.
 */
export const script: string = `
(() => {
  const live = document.getElementById("live");
  const source = live && live.dataset.source;
  if (!source) return;
  const state = document.getElementById("live-state");
  setInterval(async () => {
    if (document.hidden || live.contains(document.activeElement)) return;
    try {
      const answer = await fetch(source, { headers: { accept: "text/html" }, redirect: "error" });
      if (!answer.ok) throw new Error();
      const opened = [...live.querySelectorAll("details")].map((one) => one.open);
      live.innerHTML = await answer.text();
      live.querySelectorAll("details").forEach((one, index) => { one.open = opened[index] ?? false; });
      state.textContent = "Updated " + new Date().toLocaleTimeString();
    } catch {
      state.textContent = "Not updated: the server did not answer. The next attempt is in 10 seconds.";
    }
  }, 10000);
})();
`;
