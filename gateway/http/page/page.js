// The reader page. Everything of an article gets onto the page as text, never as markup.

const settings = JSON.parse(document.querySelector("meta[name=khulasa]").content);
const byId = (id) => document.getElementById(id);
const RECENT = 30;
const HTML = /<\s*(?:!doctype\s+html|html|head|body|article|div|p|meta)\b/i;

// ---------------------------------------------------------------- small helpers

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Offsets of the API count code points, those of JavaScript UTF-16 units: a letter beyond the first 65,536 is two.
function unitsOf(text) {
  if (!/[\ud800-\udbff]/.test(text)) return (offset) => offset;
  const units = [0];
  for (const letter of text) units.push(units[units.length - 1] + letter.length);
  return (offset) => units[Math.min(offset, units.length - 1)];
}

const doubtsOf = (flags) => flags.filter((flag) => !settings.passedOver.includes(flag.reason));
const wordsOf = (flag) => settings.flagWords[flag.reason] ?? settings.unknownFlag;
const oneLine = (text) => text.replace(/[\s\u2028\u2029]+/g, " ").trim();

function tell(text) { byId("status").textContent = text; }

function complain(text) {
  byId("problem").hidden = !text;
  byId("problem").textContent = text;
}

// ---------------------------------------------------------------- what this browser keeps

const opened = new Promise((resolve, reject) => {
  const request = indexedDB.open("khulasa", 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("articles", { keyPath: "id" });
    request.result.createObjectStore("corrections", { keyPath: "source" });
    request.result.createObjectStore("terms", { keyPath: "source" });
  };
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

// A browser that keeps nothing (private windows, some settings) reads all the same.
async function kept(store, mode, work, otherwise) {
  try {
    const database = await opened;
    return await new Promise((resolve, reject) => {
      const request = work(database.transaction(store, mode).objectStore(store));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } catch {
    return otherwise;
  }
}
const all = (store) => kept(store, "readonly", (s) => s.getAll(), []);
const keep = (store, value) => kept(store, "readwrite", (s) => s.put(value));
const forget = (store, key) => kept(store, "readwrite", (s) => s.delete(key));
const forgetAll = (store) => kept(store, "readwrite", (s) => s.clear());

// ---------------------------------------------------------------- the article in hand

let shown = null; // { request, answer: { translation, summary, provenance }, corrections }
let stopping = null;

function emptyAnswer() {
  return { translation: { title: null, paragraphs: [], extracted: null }, summary: null, provenance: null };
}

function add(answer, name, data) {
  if (name === "extracted") answer.translation.extracted = data;
  else if (name === "title") answer.translation.title = data;
  else if (name === "paragraph") answer.translation.paragraphs.push(data);
  else if (name === "summary") answer.summary = data;
  else if (name === "finished") answer.provenance = data.provenance;
}

const sourceOf = (paragraph) => oneLine(paragraph.sentences.map((sentence) => sentence.source).join(" "));

function parts(answer) {
  const { title, paragraphs } = answer.translation;
  return [...(title ? [{ ...title, isTitle: true }] : []), ...paragraphs];
}

function headlineOf(answer) {
  const head = answer.translation.title ?? answer.translation.paragraphs.find((p) => p.kind.endsWith("_TITLE"));
  const first = head ?? answer.translation.paragraphs.find((p) => p.sentences.some((s) => s.translation));
  return first ? oneLine(first.sentences.map((s) => s.translation || s.source).join(" ")).slice(0, 140) : "Untitled";
}

// ---------------------------------------------------------------- asking the gateway

async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name) => lines.filter((l) => l.startsWith(`${name}: `)).map((l) => l.slice(name.length + 2)).join("\n");
      yield [field("event"), JSON.parse(field("data"))];
    }
  }
}

class Problem extends Error {
  constructor(members) {
    super(members.detail);
    this.members = members;
  }
}

async function problemOf(response) {
  try {
    return new Problem(await response.json());
  } catch {
    return new Problem({ detail: `The server answered ${response.status}.`, status: response.status });
  }
}

async function translate(text) {
  complain("");
  if (!text.trim()) {
    complain("There is no text yet. Paste an article, or open a file.");
    byId("source").focus();
    return;
  }
  stopping?.abort();
  const stop = (stopping = new AbortController());
  const terms = readTerms(byId("glossary").value);
  const request = {
    article: HTML.test(text.slice(0, 2000)) ? { html: text } : { text },
    options: {
      summaryBudget: { sentences: Number(byId("sentences").value) },
      translateBoilerplate: byId("boilerplate").checked,
      ...(terms.length ? { glossary: { terms } } : {}),
    },
  };
  start(request);
  tell("Translating…");
  const token = sessionStorage.getItem("token");
  let ended = false;
  try {
    const response = await fetch("/v1/articles:stream", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify(request),
      signal: stop.signal,
    });
    if (!response.ok) throw await problemOf(response);
    for await (const [name, data] of eventsOf(response)) {
      if (name === "error") throw new Problem(data);
      add(shown.answer, name, data);
      show(name, data);
      ended = name === "finished";
    }
    if (!ended) throw new Problem({ detail: "The server ended before the article was finished. Try again." });
    await keepRecent();
  } catch (error) {
    if (stop.signal.aborted) tell("Stopped. What is here is not the whole article.");
    else fail(error);
  } finally {
    if (stopping === stop) {
      stopping = null;
      setWorking(false);
    }
  }
}

function fail(error) {
  tell("");
  if (error instanceof Problem) {
    if (error.members.status === 401) {
      byId("token-box").hidden = false;
      byId("compose").hidden = false;
      byId("token").focus();
    }
    complain(error.message);
  } else {
    complain("The server does not answer. Is it running?");
    console.error(error);
  }
  byId("compose").hidden = false;
  if (!shown?.answer.translation.paragraphs.length) byId("result").hidden = true;
}

function setWorking(working) {
  byId("stop").hidden = !working;
  byId("translate").disabled = working;
  for (const waiting of document.querySelectorAll(".waiting")) if (!working) waiting.remove();
  for (const button of document.querySelectorAll(".tools button")) button.disabled = working;
}

// ---------------------------------------------------------------- showing it

function start(request, corrections = new Map()) {
  shown = { request, answer: emptyAnswer(), corrections, text: request.article.text ?? "", units: null, notes: 0 };
  shown.units = unitsOf(shown.text);
  byId("article").replaceChildren(make("div", { className: "waiting", ariaHidden: "true" }));
  byId("summary").hidden = true;
  byId("summary-list").replaceChildren();
  byId("verdict").hidden = true;
  byId("provenance").textContent = "";
  byId("result").hidden = false;
  byId("new").hidden = false;
  setWorking(true);
}

function show(name, data) {
  if (name === "extracted") {
    shown.text = data.text;
    shown.units = unitsOf(data.text);
  } else if (name === "title") addRow(data, true);
  else if (name === "paragraph") addRow(data, false);
  else if (name === "summary") showSummary(data);
  else if (name === "finished") showEnd(data.provenance);
}

function addRow(paragraph, isTitle) {
  // Of many pages the headline is known twice, as their title and as a line of their text: once is enough to read.
  const title = shown.answer.translation.title;
  const again = !isTitle && paragraph.kind.endsWith("_TITLE") && title && sourceOf(paragraph) === sourceOf(title);
  if (again) return;
  const article = byId("article");
  if (!article.querySelector(".row")) {
    byId("compose").hidden = true;
    tell("The first part is here, the rest is coming.");
  }
  const kind = isTitle || paragraph.kind.endsWith("_TITLE") ? "title" : paragraph.kind.slice(15).toLowerCase();
  const aside = kind === "boilerplate" && !paragraph.sentences.some((s) => s.translation);
  const tag = { title: "h2", heading: "h3" }[kind] ?? "p";
  const english = make(tag, { className: "text" });
  const arabic = make("p", { className: "text" });
  const notes = make("ul", { className: "notes" });
  let end = paragraph.span.start;
  for (const sentence of paragraph.sentences) {
    const id = `${isTitle ? "t" : "s"}${sentence.index}`;
    const gap = isTitle ? " " : shown.text.slice(shown.units(end), shown.units(sentence.span.start));
    arabic.append(...(arabic.hasChildNodes() ? [gap || " "] : []), arabicSentence(sentence, id, isTitle));
    if (sentence.translation || !aside) {
      if (english.hasChildNodes()) english.append(" ");
      english.append(...englishSentence(sentence, id, notes));
    }
    end = sentence.span.end;
  }
  if (aside) english.append(make("span", { className: "passed" }, wordsOf({ reason: "REASON_BOILERPLATE_SKIPPED" })));
  const row = make(
    "div",
    { className: `row ${aside ? "aside" : kind}` },
    make("div", { className: "en", lang: "en", dir: "ltr" }, english, ...(notes.hasChildNodes() ? [notes] : [])),
    make("div", { className: "ar", lang: "ar", dir: "rtl" }, arabic),
  );
  const waiting = article.querySelector(".waiting");
  if (waiting) waiting.before(row);
  else article.append(row);
  if (!article.querySelector(".en .s[tabindex='0']")) article.querySelector(".en .s")?.setAttribute("tabindex", "0");
}

function englishSentence(sentence, id, notes) {
  const doubts = doubtsOf(sentence.flags);
  const passed = sentence.flags.filter((flag) => settings.passedOver.includes(flag.reason));
  const corrected = shown.corrections.get(sentence.source);
  const text = corrected ?? sentence.translation;
  const classes = ["s", ...(doubts.length && !corrected ? ["doubt"] : []), ...(passed.length ? ["passed"] : [])];
  const span = make("span", {
    className: classes.concat(corrected ? ["corrected"] : []).join(" "),
    id: `en-${id}`,
    role: "button",
    tabindex: "-1",
    "aria-expanded": "false",
  });
  if (text) span.append(...withTerms(text, sentence.termMatches));
  else span.append(make("em", {}, "(nothing)"));
  span.sentence = sentence;
  const after = [];
  if (doubts.length || passed.length) {
    const number = doubts.length ? ++shown.notes : 0;
    const note = make("li", { id: `note-${id}`, className: doubts.length ? "" : "plain" });
    if (number) {
      after.push(make("span", { className: "number", ariaHidden: "true" }, `${number}`));
      note.append(make("strong", {}, `${number} `));
    }
    [...doubts, ...passed].forEach((flag, place) => {
      note.append(`${place ? "; " : ""}${wordsOf(flag)} `, make("span", { className: "detail" }, flag.detail && `(${flag.detail})`));
    });
    notes.append(note);
    span.setAttribute("aria-describedby", note.id);
  }
  for (const match of sentence.termMatches) {
    const applied = match.outcome === "OUTCOME_APPLIED";
    const item = make("li", { className: applied ? "term" : "" }, "Glossary: ");
    item.append(make("bdi", { lang: "ar" }, match.source), applied ? ` is “${match.target}”` : ` should be “${match.target}”, and is not`);
    notes.append(item);
  }
  return [span, ...after];
}

// Marks where the English has what the glossary asked for. The server says that it is there, not where.
function withTerms(text, matches) {
  const pieces = [];
  let rest = text;
  for (const match of matches.filter((m) => m.outcome === "OUTCOME_APPLIED")) {
    const place = rest.toLowerCase().indexOf(match.target.toLowerCase());
    if (place < 0) continue;
    pieces.push(rest.slice(0, place), make("mark", {}, rest.slice(place, place + match.target.length)));
    rest = rest.slice(place + match.target.length);
  }
  return [...pieces, rest];
}

function arabicSentence(sentence, id, isTitle) {
  const span = make("span", { className: "s", id: `ar-${id}` });
  const source = sentence.source;
  const units = unitsOf(source);
  let done = 0;
  for (const match of isTitle ? [] : sentence.termMatches) {
    const start = units(match.span.start - sentence.span.start);
    const end = units(match.span.end - sentence.span.start);
    const missed = match.outcome === "OUTCOME_APPLIED" ? "" : "missed";
    span.append(source.slice(done, start), make("mark", { className: missed, title: match.target }, source.slice(start, end)));
    done = end;
  }
  span.append(source.slice(done));
  return span;
}

function showSummary(summary) {
  byId("summary").hidden = false;
  const list = byId("summary-list");
  for (const sentence of summary.sentences) {
    const link = make("a", { href: `#en-s${sentence.sentenceIndex}` }, sentence.text);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(byId(`en-s${sentence.sentenceIndex}`));
    });
    const item = make("li", {}, link);
    const doubts = doubtsOf(sentence.flags);
    if (doubts.length) item.append(make("span", { className: "why" }, `Doubtful: ${doubts.map(wordsOf).join("; ")}`));
    list.append(item);
  }
  if (!summary.sentences.length) list.append(make("li", {}, "No sentence of this article may stand alone."));
}

const VERDICTS = {
  VERDICT_NO_DOUBTS: ["good", "No check failed. That is not a promise that all is right."],
  VERDICT_DOUBTS: ["", "Some sentences are doubtful. They are underlined, and the notes say why."],
  VERDICT_UNRELIABLE: ["bad", "More than a third of this is doubtful. Have the Arabic read before it is used."],
  VERDICT_NOTHING_TRANSLATED: ["", "There was nothing to translate."],
};

function showEnd(provenance) {
  const [kind, words] = VERDICTS[provenance.verdict] ?? ["", ""];
  byId("verdict").className = `notice ${kind}`;
  byId("verdict").textContent = words;
  byId("verdict").hidden = !words;
  const cached = provenance.cacheUse.slice(10).toLowerCase();
  byId("provenance").textContent =
    `${provenance.model} ${provenance.modelDigest.slice(0, 12)} · ${provenance.engine} · cache ${cached} · ${parseFloat(provenance.totalTime).toFixed(1)} s`;
  setWorking(false);
  const doubtful = provenance.flaggedSentences;
  tell(`Done: ${provenance.sentences} sentences, ${doubtful ? `${doubtful} doubtful` : "none doubtful"}.`);
}

// ---------------------------------------------------------------- pairs of sentences

function counterpart(element) {
  const [side, id] = [element.id.slice(0, 2), element.id.slice(3)];
  return byId(`${side === "en" ? "ar" : "en"}-${id}`);
}

function light(element) {
  for (const lit of document.querySelectorAll(".s.lit")) lit.classList.remove("lit");
  if (!element) return;
  element.classList.add("lit");
  counterpart(element)?.classList.add("lit");
}

function goTo(element) {
  if (!element) return;
  for (const other of document.querySelectorAll(".en .s[tabindex='0']")) other.setAttribute("tabindex", "-1");
  element.setAttribute("tabindex", "0");
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  light(element);
}

const sentenceAt = (target) => target.closest?.(".s") ?? null;
const article = byId("article");
article.addEventListener("mouseover", (event) => light(sentenceAt(event.target) ?? sentenceAt(document.activeElement)));
article.addEventListener("mouseleave", () => light(sentenceAt(document.activeElement)));
article.addEventListener("focusin", (event) => light(sentenceAt(event.target)));
article.addEventListener("focusout", () => light(null));
article.addEventListener("click", (event) => {
  const sentence = sentenceAt(event.target);
  if (!sentence || String(getSelection())) return; // selecting words is not asking
  inspect(sentence.id.startsWith("en") ? sentence : counterpart(sentence));
});
article.addEventListener("keydown", (event) => {
  const sentence = sentenceAt(event.target);
  if (!sentence) return;
  const sentences = [...article.querySelectorAll(".en .s")];
  const place = sentences.indexOf(sentence);
  const next = { ArrowDown: place + 1, ArrowRight: place + 1, ArrowUp: place - 1, ArrowLeft: place - 1, Home: 0, End: sentences.length - 1 }[event.key];
  if (next !== undefined) {
    event.preventDefault();
    goTo(sentences[Math.max(0, Math.min(next, sentences.length - 1))]);
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    inspect(sentence);
  }
});

// ---------------------------------------------------------------- more about one sentence, and correcting it

function closeInspector() {
  const inspector = document.querySelector(".inspector");
  if (!inspector) return;
  const sentence = byId(inspector.dataset.of);
  inspector.remove();
  sentence?.setAttribute("aria-expanded", "false");
  sentence?.focus();
}

function inspect(element) {
  const was = document.querySelector(".inspector")?.dataset.of;
  closeInspector();
  if (!element || was === element.id) return;
  const sentence = element.sentence;
  const inspector = make("div", { className: "inspector", role: "group", ariaLabel: "About this sentence" });
  inspector.dataset.of = element.id;
  const facts = make("ul");
  for (const flag of sentence.flags) facts.append(make("li", {}, wordsOf(flag), flag.detail ? ` (${flag.detail})` : ""));
  if (!sentence.flags.length) facts.append(make("li", {}, "No check failed."));
  if (sentence.confidence !== undefined && sentence.confidence !== null) {
    facts.append(make("li", {}, `Chance that a reader gets the sense: ${Math.round(100 * sentence.confidence)} %`));
  }
  if (sentence.plainTranslation) facts.append(make("li", {}, `Without the glossary: ${sentence.plainTranslation}`));
  const better = make("textarea", { id: "better", rows: 3, lang: "en", dir: "ltr" });
  better.value = shown.corrections.get(sentence.source) ?? sentence.translation;
  const term = make("input", { id: "term-source", lang: "ar", dir: "rtl" });
  const english = make("input", { id: "term-target", lang: "en", dir: "ltr" });
  const save = make("button", { type: "button", id: "save-correction" }, "Save correction");
  const saveTerm = make("button", { type: "button", id: "save-term" }, "Save as glossary term");
  const close = make("button", { type: "button", className: "quiet" }, "Close");
  save.addEventListener("click", () => correct(element, better.value));
  saveTerm.addEventListener("click", () => addTerm(term, english));
  close.addEventListener("click", closeInspector);
  inspector.append(
    make("h3", {}, "About this sentence"),
    facts,
    make("label", { htmlFor: "better" }, "A better translation"),
    better,
    make("div", { className: "line" }, save),
    make("div", { className: "pair" },
      make("div", {}, make("label", { htmlFor: "term-source" }, "A term in Arabic"), term),
      make("div", {}, make("label", { htmlFor: "term-target" }, "Its English (empty: keep it)"), english)),
    make("div", { className: "line" }, saveTerm, close),
  );
  inspector.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeInspector();
  });
  element.closest(".row").append(inspector);
  element.setAttribute("aria-expanded", "true");
  better.focus({ preventScroll: true });
}

async function correct(element, text) {
  const better = oneLine(text);
  const source = element.sentence.source;
  if (!better || better === element.sentence.translation) {
    shown.corrections.delete(source);
    await forget("corrections", oneLine(source));
  } else {
    shown.corrections.set(source, better);
    await keep("corrections", { source: oneLine(source), target: better });
  }
  const corrected = shown.corrections.get(source);
  element.classList.toggle("corrected", Boolean(corrected));
  element.classList.toggle("doubt", !corrected && doubtsOf(element.sentence.flags).length > 0);
  element.replaceChildren(...withTerms(corrected ?? element.sentence.translation, element.sentence.termMatches));
  closeInspector();
  tell(corrected ? "The correction is saved in this browser." : "The correction is taken back.");
  await showWork();
}

async function addTerm(sourceInput, targetInput) {
  const term = { source: oneLine(sourceInput.value), target: oneLine(targetInput.value) };
  if (!/[\p{L}\p{N}]/u.test(term.source) || term.source.startsWith("#")) {
    tell("A term needs a letter or digit, and cannot begin with #.");
    sourceInput.focus();
    return;
  }
  await keep("terms", term);
  const others = readTerms(byId("glossary").value).filter((other) => other.source !== term.source);
  byId("glossary").value = [...others, term].map((t) => (t.target ? `${t.source}\t${t.target}` : t.source)).join("\n");
  countTerms();
  closeInspector();
  tell("The term is saved, and used with the next article.");
  await showWork();
}

function readTerms(text) {
  return text.split("\n").filter((line) => line.trim() && !line.startsWith("#")).map((line) => {
    const [source, ...target] = line.split(line.includes("\t") ? "\t" : "=");
    return { source: oneLine(source), target: oneLine(target.join(" ")) };
  });
}

function countTerms() {
  const number = readTerms(byId("glossary").value).length;
  byId("glossary-count").textContent = number ? `(${number})` : "";
}

async function showWork() {
  const [corrections, terms] = [await all("corrections"), await all("terms")];
  byId("work").hidden = !corrections.length && !terms.length;
  byId("corrections").textContent = `Download corrections.tsv (${corrections.length})`;
  byId("corrections").disabled = !corrections.length;
  byId("terms").textContent = `Download glossary.tsv (${terms.length})`;
  byId("terms").disabled = !terms.length;
}

const asTsv = (rows) => rows.map((row) => `${row.source}\t${row.target}\n`).join("");

// ---------------------------------------------------------------- taking it along

const textOf = (sentence) => shown.corrections.get(sentence.source) ?? sentence.translation;
const englishOf = (paragraph) => paragraph.sentences.map(textOf).filter(Boolean).join(" ");

function asText(answer) {
  const lines = [headlineOf(answer), ""];
  if (answer.summary) lines.push("Summary", ...answer.summary.sentences.map((s) => `- ${s.text}`), "");
  for (const paragraph of parts(answer)) {
    if (!paragraph.isTitle && !paragraph.kind.endsWith("_TITLE") && englishOf(paragraph)) lines.push(englishOf(paragraph), "");
  }
  const doubtful = parts(answer).flatMap((p) => p.sentences).filter((s) => doubtsOf(s.flags).length);
  if (doubtful.length) lines.push("Doubtful");
  for (const s of doubtful) lines.push(`- ${s.translation}`, `  ${s.source}`, `  ${doubtsOf(s.flags).map(wordsOf).join("; ")}`);
  return lines.join("\n").trim() + "\n";
}

function asMarkdown(answer) {
  const plain = (text) => text.replace(/[\\`*_{}[\]<>#|]/g, "\\$&");
  const lines = [`# ${plain(headlineOf(answer))}`, ""];
  const notes = [];
  if (answer.summary) lines.push("## Summary", "", ...answer.summary.sentences.map((s) => `- ${plain(s.text)}`), "", "## Article", "");
  for (const paragraph of parts(answer)) {
    if (paragraph.isTitle || paragraph.kind.endsWith("_TITLE")) continue;
    const sentences = paragraph.sentences.filter(textOf).map((sentence) => {
      const doubts = doubtsOf(sentence.flags);
      if (doubts.length) notes.push(`[^${notes.length + 1}]: ${doubts.map(wordsOf).join("; ")}: ${plain(oneLine(sentence.source))}`);
      return plain(textOf(sentence)) + (doubts.length ? `[^${notes.length}]` : "");
    });
    if (sentences.length) lines.push((paragraph.kind.endsWith("_HEADING") ? "### " : "") + sentences.join(" "), "");
  }
  return [...lines, ...notes].join("\n").trim() + "\n";
}

function download(name, kind, content) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type: kind })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const DOWNLOADS = {
  txt: ["text/plain", asText],
  md: ["text/markdown", asMarkdown],
  json: ["application/json", (answer) => JSON.stringify(answer, null, 1) + "\n"],
};
for (const button of document.querySelectorAll("[data-download]")) {
  button.setAttribute("aria-label", `Download as ${button.textContent}`);
  button.addEventListener("click", () => {
    const [kind, content] = DOWNLOADS[button.dataset.download];
    download(`article.${button.dataset.download}`, kind, content(shown.answer));
  });
}
byId("copy").addEventListener("click", async () => {
  const text = asText(shown.answer);
  try {
    await navigator.clipboard.writeText(text);
    tell("Copied.");
  } catch { // not allowed, or not over https
    download("article.txt", "text/plain", text);
    tell("This browser does not let pages copy; the text was downloaded.");
  }
});
byId("corrections").addEventListener("click", async () =>
  download("corrections.tsv", "text/tab-separated-values", asTsv(await all("corrections"))));
byId("terms").addEventListener("click", async () =>
  download("glossary.tsv", "text/tab-separated-values", asTsv(await all("terms"))));
byId("clear-work").addEventListener("click", async () => {
  await Promise.all([forgetAll("corrections"), forgetAll("terms")]);
  await showWork();
  tell("Corrections and terms are forgotten.");
});

// ---------------------------------------------------------------- recent articles

async function keepRecent() {
  const record = { id: Date.now(), headline: headlineOf(shown.answer), request: shown.request, answer: shown.answer };
  await keep("articles", record);
  const records = await all("articles");
  for (const old of records.sort((a, b) => b.id - a.id).slice(RECENT)) await forget("articles", old.id);
  await showRecent();
}

async function showRecent() {
  const records = (await all("articles")).sort((a, b) => b.id - a.id);
  byId("recent").hidden = !records.length;
  byId("recent-list").replaceChildren(...records.map((record) => {
    const open = make("button", { type: "button", className: "open" }, record.headline);
    const gone = make("button", { type: "button", className: "forget", ariaLabel: `Forget ${record.headline}` }, "×");
    const when = new Date(record.id);
    open.addEventListener("click", () => reopen(record));
    gone.addEventListener("click", async () => { await forget("articles", record.id); await showRecent(); });
    return make("li", {}, open, make("time", { dateTime: when.toISOString() }, when.toLocaleString()), gone);
  }));
}

async function reopen(record) {
  stopping?.abort();
  const saved = new Map((await all("corrections")).map((row) => [row.source, row.target]));
  const corrections = new Map();
  for (const sentence of parts(record.answer).flatMap((p) => p.sentences)) {
    const better = saved.get(oneLine(sentence.source));
    if (better) corrections.set(sentence.source, better);
  }
  start(record.request, corrections);
  const { translation, summary, provenance } = record.answer;
  shown.answer = record.answer;
  if (translation.extracted) show("extracted", translation.extracted);
  if (translation.title) show("title", translation.title);
  for (const paragraph of translation.paragraphs) show("paragraph", paragraph);
  if (summary) show("summary", summary);
  if (provenance) show("finished", { provenance });
  setWorking(false);
  scrollTo({ top: 0 });
  article.focus({ preventScroll: true });
}

byId("clear").addEventListener("click", async () => {
  await forgetAll("articles");
  await showRecent();
  tell("The list is empty.");
});

// ---------------------------------------------------------------- bringing an article in

// Old Arabic archives are in Windows-1256; UTF-8 says by itself that it is not.
function decode(bytes) {
  const start = new TextDecoder("latin1").decode(bytes.slice(0, 4096));
  const declared = /<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]{1,40})/i.exec(start)?.[1];
  const mark = { "\xff\xfe": "utf-16le", "\xfe\xff": "utf-16be" }[start.slice(0, 2)];
  for (const name of [mark, "utf-8", declared, "windows-1256"]) {
    try {
      if (name) return new TextDecoder(name, { fatal: true }).decode(bytes);
    } catch { /* not this one */ }
  }
  return null;
}

async function take(file) {
  if (file.size > settings.maxArticleBytes * 2) {
    complain(`${file.name} has ${file.size} bytes, the limit is ${settings.maxArticleBytes} of text.`);
    return;
  }
  const text = decode(await file.arrayBuffer());
  if (text === null || text.includes("\0")) {
    complain(`${file.name} is no text. Open a text or HTML file.`);
    return;
  }
  byId("source").value = text;
  await translate(text);
}

byId("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  translate(byId("source").value);
});
byId("source").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("compose").requestSubmit();
});
byId("stop").addEventListener("click", () => stopping?.abort());
byId("new").addEventListener("click", () => {
  stopping?.abort();
  byId("compose").hidden = false;
  byId("result").hidden = true;
  byId("new").hidden = true;
  byId("source").value = "";
  tell("");
  complain("");
  byId("source").focus();
});
byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) take(file);
});
byId("token").addEventListener("change", (event) => sessionStorage.setItem("token", event.target.value.trim()));
byId("glossary").addEventListener("input", countTerms);

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").hidden = !event.dataTransfer.types.includes("Files");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").hidden = true;
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").hidden = true;
  const [file] = event.dataTransfer.files;
  const text = event.dataTransfer.getData("text/plain");
  if (file) take(file);
  else if (text) {
    byId("source").value = text;
    translate(text);
  }
});

const saved = await all("terms");
byId("glossary").value = saved.map((t) => (t.target ? `${t.source}\t${t.target}` : t.source)).join("\n");
countTerms();
await Promise.all([showRecent(), showWork()]);
document.documentElement.dataset.ready = "true";
