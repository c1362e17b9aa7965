// The shell: which view the address names, navigation, keys, colours, and the line that says what happened.
import { useSaid } from "./lib/actions.js";
import { go } from "./lib/address.js";
import { place } from "./lib/api.js";
import { html, render, useEffect, useRef, useState } from "./lib/dom.js";
import { follow, onLive, useLive } from "./lib/live.js";
import { Dialog, Empty, Failure } from "./lib/parts.js";
import { VIEWS } from "./views/all.js";

/** The view of a path with the parts of the path that it names: {view, params}. */
function located(path) {
  const words = path.split("/").filter(Boolean);
  for (const view of VIEWS) {
    const names = view.path.split("/").filter(Boolean);
    // A part that ends with a question mark may be missing.
    const least = names.filter((name) => !name.endsWith("?")).length;
    if (words.length < least || words.length > names.length) continue;
    if (!names.every((name, index) => name.startsWith(":") || name === words[index])) continue;
    const params = Object.fromEntries(
      names.flatMap((name, index) => (name.startsWith(":") && index < words.length ? [[name.replace(/[:?]/g, ""), decoded(words[index])]] : [])),
    );
    return { view, params };
  }
  return null;
}

function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

/** The same page for a click on a link to it; the browser does what it does with all others. */
function onClick(event) {
  if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  // A link of a drawing has an object in place of the text of its address.
  const address = event.target.closest?.("a[href]")?.getAttribute("href");
  if (!address?.startsWith("/") || address.startsWith("//") || address.startsWith("/api/") || address.startsWith("/page/")) return;
  event.preventDefault();
  go(address);
}

const AFTER = 1000; // milliseconds after which the other views are loaded: this one comes first
const THEMES = ["auto", "light", "dark"];

function useTheme() {
  const [theme, setTheme] = useState(() => {
    const kept = localStorage.getItem("orc-theme");
    return THEMES.includes(kept) ? kept : "auto";
  });
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("orc-theme", theme);
  }, [theme]);
  return [theme, () => setTheme((before) => THEMES[(THEMES.indexOf(before) + 1) % THEMES.length])];
}

const loaded = new Map();

/** Load the module of a view. */
async function load(name) {
  loaded.set(name, (await import(`./views/${name}.js`)).View);
}

/** The component of a view, whose module is loaded when the view is opened first: {View, error}. */
function useView(view) {
  const [answer, setAnswer] = useState({ name: "", error: null });
  const [attempt, setAttempt] = useState(0);
  const name = view?.file;
  useEffect(() => {
    if (!name || loaded.has(name)) return;
    const error = { message: "This view cannot be loaded", hint: "Is `orc serve` running? After an update, load the page again." };
    load(name).then(() => setAnswer({ name, error: null }), () => setAnswer({ name, error }));
  }, [name, attempt]);
  useEffect(() => {
    // With all views at hand they open also while the server is away; what failed is tried again when it is back.
    const others = () => VIEWS.forEach(({ file }) => loaded.has(file) || load(file).catch(() => {}));
    return onLive(() => {
      setTimeout(others, AFTER);
      setAttempt((before) => before + 1);
    });
  }, []);
  return { View: loaded.get(name), error: answer.name === name ? answer.error : null };
}

const isTyping = (element) => element.closest?.("input, textarea, select, [contenteditable]");

/** Keys of the page: `g b` and the like, `?`, `/`. A view stops those that it uses itself. */
function useKeys(help) {
  useEffect(() => {
    let first = "";
    let timer = 0;
    const isOurs = (event) => !(event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target));
    const opened = (keys) => VIEWS.find((each) => each.key === keys);
    const open = (event, view) => {
      event.preventDefault();
      event.stopPropagation();
      go(view.address);
    };
    // The second key is not for the view, whatever it means there.
    const onSecond = (event) => {
      const view = first && isOurs(event) ? opened(`${first} ${event.key}`) : undefined;
      clearTimeout(timer);
      first = "";
      if (view) open(event, view);
    };
    const onKeyDown = (event) => {
      if (!isOurs(event)) return;
      const view = opened(event.key);
      if (view) open(event, view);
      else if (event.key === "?") {
        event.preventDefault();
        help();
      } else if (VIEWS.some((each) => each.key?.startsWith(`${event.key} `))) {
        first = event.key;
        timer = setTimeout(() => (first = ""), 1500);
      }
    };
    addEventListener("keydown", onSecond, true);
    addEventListener("keydown", onKeyDown);
    return () => {
      removeEventListener("keydown", onSecond, true);
      removeEventListener("keydown", onKeyDown);
    };
  }, []);
}

function App() {
  const [address, setAddress] = useState({ path: location.pathname, query: location.search, number: 0 });
  const [isHelp, setIsHelp] = useState(false);
  const [theme, nextTheme] = useTheme();
  const main = useRef(null);
  useKeys(() => setIsHelp(true));
  useEffect(() => {
    const onChange = () => setAddress((before) => ({ path: location.pathname, query: location.search, number: before.number + 1 }));
    addEventListener("popstate", onChange);
    document.addEventListener("click", onClick);
    follow();
    return () => {
      removeEventListener("popstate", onChange);
      document.removeEventListener("click", onClick);
    };
  }, []);
  const found = located(address.path);
  const { View, error } = useView(found?.view);
  const nav = useRef(null);
  useEffect(() => {
    const link = nav.current.querySelector("[aria-current]");
    if (link) nav.current.scrollLeft = link.offsetLeft - (nav.current.clientWidth - link.offsetWidth) / 2;
  }, [address]);
  useEffect(() => {
    document.title = `${found?.params.id ?? found?.view.name ?? "Not there"} · ${place.board}`;
    // A new view begins where a new page would: with its heading, or with the input that it is about.
    const input = main.current.querySelector("[data-first]");
    if (input) input.focus();
    if (input || address.number === 0) return;
    const heading = main.current.querySelector("h1") ?? main.current;
    heading.tabIndex = -1;
    heading.focus();
  }, [address, View]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>To the content</a>
    <header class="shell-head">
      <p class="shell-board"><a href="/">${place.board || "Board"}</a></p>
      <nav aria-label="Views" ref=${nav}>
        <ul>
          ${VIEWS.filter((view) => view.key).map((view) => html`
            <li key=${view.path}><a href=${view.address} aria-current=${found?.view === view ? "page" : undefined} title=${`Keys: ${view.key}`}>${view.name}</a></li>`)}
        </ul>
      </nav>
      <div class="shell-side">
        <${Live} />
        <span class="shell-person" title="Your name in the log">${place.person}${place.isReadOnly ? " (only looking)" : ""}</span>
        <button type="button" class="quiet" onClick=${nextTheme} aria-label=${`Colours: ${theme}`}>${{ auto: "◐", light: "○", dark: "●" }[theme]}</button>
        <button type="button" class="quiet" onClick=${() => setIsHelp(true)} aria-label="Keys">?</button>
      </div>
    </header>
    <main id="main" ref=${main} tabindex="-1" data-view=${found?.view.file}>
      ${!found && html`<h1>Not there</h1><${Empty}>This page has no such view.<//>`}
      ${error && !View && html`<h1>${found.view.name}</h1><${Failure} error=${error} />`}
      ${View && html`<${View} key=${`${found.view.path} ${JSON.stringify(found.params)} ${address.number}`} params=${found.params} query=${new URLSearchParams(address.query)} />`}
    </main>
    <${Said} />
    ${isHelp && html`<${Help} onClose=${() => setIsHelp(false)} />`}`;
}

function Live() {
  const state = useLive();
  return html`<span class=${`shell-live ${state.replace(" ", "-")}`} role="status">${{ live: "Live", connecting: "Connecting", "cut off": "Cut off" }[state]}</span>`;
}

/** The message of the last action; it disappears after a time, but an error stays until the next action. */
function Said() {
  const said = useSaid();
  const [gone, setGone] = useState(0);
  useEffect(() => {
    if (!said || said.isError) return undefined;
    const timer = setTimeout(() => setGone(said.number), 8000);
    return () => clearTimeout(timer);
  }, [said]);
  const isShown = said && gone !== said.number;
  return html`
    <div class=${`said${isShown ? (said.isError ? " error" : " good") : ""}`} role="status" aria-live="polite">
      ${isShown && html`<span>${said.text}${said.hint && html` <span class="hint">${said.hint}</span>`}</span> <button type="button" class="quiet" onClick=${() => setGone(said.number)} aria-label="Close">×</button>`}
    </div>`;
}

function Help({ onClose }) {
  const rows = [...VIEWS.filter((view) => view.key).map((view) => [view.key, view.name]), ...VIEWS.flatMap((view) => view.keys ?? []), ["?", "These keys"], ["Tab, arrows, Enter, Escape", "Within a view"]];
  return html`
    <${Dialog} title="Keys" onClose=${onClose}>
      <table class="keys"><thead><tr><th scope="col">Key</th><th scope="col">What it does</th></tr></thead>
        <tbody>${rows.map(([keys, text]) => html`<tr key=${keys}><td><kbd>${keys}</kbd></td><td>${text}</td></tr>`)}</tbody></table>
      <button type="button" onClick=${onClose}>Close</button>
    <//>`;
}

render(html`<${App} />`, document.getElementById("app"));
