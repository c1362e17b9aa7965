/**
 * Markdown as vnodes, made from the tokens of `marked`: no text becomes HTML.
 *
 * Texts are written by agents. Raw HTML is shown as text, images become links, a link leads to the web, to a
 * mail address or into this page. A text that takes too long to read, or is nested too deeply, is shown as it is.
 */
import { html, useMemo } from "./dom.js";
import { Lexer } from "../vendor/marked/marked.js";

const LONGEST = 200_000; // characters of a text that is read as markdown
const LONGEST_LINE = 4_000; // characters of a paragraph whose marks are read: some take quadratic time
const TIME = 400; // milliseconds for the marks of all paragraphs
const DEEPEST = 24; // lists and quotes in each other
const MOST = 20_000; // parts of a page
const NESTED = /^[ \t]*(?:(?:>|[-*+][ \t]|\d{1,9}[.)][ \t])[ \t]*){64}/m; // its lexer takes long for such lines

/**
 * A text as markdown.
 * @param {{text: string, level?: number, isMail?: boolean}} props  `level`: the level of the heading above it;
 *   `isMail`: the ends of its lines are shown as they are.
 */
export function Markdown({ text, level = 2, isMail = false }) {
  const tokens = useMemo(() => tokensOf(text, isMail), [text, isMail]);
  if (!tokens) return html`<pre class="markdown markdown-plain" dir="auto" tabindex="0">${text}</pre>`;
  return html`<div class="markdown" dir="auto">${new Page(level).blocks(tokens, 0)}</div>`;
}

/**
 * The tokens of a text; null if it is to be shown as it is.
 * @param {string} text
 * @param {boolean} [breaks]  Whether the end of a line is one.
 */
function tokensOf(text, breaks = false) {
  if (text.length > LONGEST || NESTED.test(text)) return null;
  const lexer = new Lexer({ gfm: true, breaks });
  const end = performance.now() + TIME;
  try {
    lexer.blockTokens(text.replace(/\r\n?/g, "\n"), lexer.tokens);
    for (const { src, tokens } of lexer.inlineQueue) {
      if (src.length > LONGEST_LINE || performance.now() > end) tokens.push({ type: "text", text: src });
      else lexer.inlineTokens(src, tokens);
    }
  } catch {
    return null; // nested so deeply that the stack is full
  }
  return lexer.tokens;
}

/** Makes the parts of one text, and counts them. */
class Page {
  constructor(level) {
    this.level = level;
    this.last = level;
    this.left = MOST;
  }

  /** The level of a heading here: no level is left out, as readers of a screen expect. */
  under(depth) {
    this.last = Math.min(6, this.level + depth, this.last + 1);
    return this.last;
  }

  blocks(tokens, depth) {
    return tokens.map((token) => this.part(token, depth));
  }

  /** The part that a token stands for; what has no place is its text. */
  part(token, depth) {
    const make = Object.hasOwn(PARTS, token.type) ? PARTS[token.type] : null;
    if (!make || depth > DEEPEST || this.left <= 0) return token.raw ?? token.text ?? "";
    this.left -= 1;
    return make(token, (tokens = []) => this.blocks(tokens, depth + 1), this);
  }
}

const PARTS = {
  space: () => null,
  hr: () => html`<hr />`,
  br: () => html`<br />`,
  heading: ({ depth, tokens }, inside, page) =>
    html`<${`h${page.under(depth)}`}>${inside(tokens)}</>`,
  paragraph: ({ tokens }, inside) => html`<p>${inside(tokens)}</p>`,
  text: ({ tokens, text }, inside) => (tokens ? inside(tokens) : plain(text)),
  escape: ({ text }) => text,
  strong: ({ tokens }, inside) => html`<strong>${inside(tokens)}</strong>`,
  em: ({ tokens }, inside) => html`<em>${inside(tokens)}</em>`,
  del: ({ tokens }, inside) => html`<del>${inside(tokens)}</del>`,
  codespan: ({ text }) => html`<code>${text}</code>`,
  code: ({ text }) => html`<pre class="markdown-code" tabindex="0"><code>${text}</code></pre>`,
  blockquote: ({ tokens }, inside) => html`<blockquote>${inside(tokens)}</blockquote>`,
  list: ({ ordered, start, items }, inside) =>
    ordered ? html`<ol start=${Number(start) || 0}>${inside(items)}</ol>` : html`<ul>${inside(items)}</ul>`,
  list_item: ({ tokens }, inside) => html`<li>${inside(tokens)}</li>`,
  checkbox: ({ checked }) =>
    html`<span role="img" aria-label=${checked ? "done" : "open"}>${checked ? "☑" : "☐"} </span>`,
  table: ({ header, rows, align }, inside) => {
    const cell = (tag, scope) => (each, column) =>
      html`<${tag} scope=${scope} class=${ALIGNED[align[column]]}>${inside(each.tokens)}</>`;
    return html`<div class="scrolls" tabindex="0" role="region" aria-label="Table">
      <table>
        <thead><tr>${header.map(cell("th", "col"))}</tr></thead>
        <tbody>${rows.map((row) => html`<tr>${row.map(cell("td"))}</tr>`)}</tbody>
      </table>
    </div>`;
  },
  link: ({ href, tokens }, inside) => linked(href, inside(tokens)),
  // An image would be a request to anywhere, or a picture that pretends to be a part of this page.
  image: ({ href, text }) => linked(href, `[image${text ? `: ${plain(text)}` : ""}]`),
};

const ALIGNED = { left: "markdown-left", center: "markdown-center", right: "markdown-right" };

/** A link, if it may be one; else its text with its target beside it. */
function linked(href, content) {
  const target = targetOf(href);
  if (!target) return html`<span>${content} (${href})</span>`;
  if (target.startsWith("/") || target.startsWith("#")) return html`<a href=${target}>${content}</a>`;
  return html`<a href=${target} title=${target} target="_blank" rel="noopener noreferrer">${content}</a>`;
}

/**
 * Where a link of a text may lead: into this page, to the web, or to a mail address; else null.
 * @param {string} href
 */
function targetOf(href) {
  let url;
  try {
    url = new URL(plain(href), location.origin);
  } catch {
    return null;
  }
  if (url.protocol === "mailto:") return url.href;
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  if (url.origin !== location.origin) return url.href;
  // A relative path is a file beside the text: this page has no such file. Routes of the server are no pages.
  const isInside = href.startsWith("/") && !/^\/(api|page)(\/|$)/.test(url.pathname);
  return isInside ? url.pathname + url.search + url.hash : null;
}

const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** A text with its entities as characters; those that it does not know stay. */
function plain(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,4}));/gi, (all, decimal, hex, name) => {
    if (name) return Object.hasOwn(NAMED, name) ? NAMED[name] : all;
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    const isCharacter = code >= 32 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return isCharacter ? String.fromCodePoint(code) : all;
  });
}
