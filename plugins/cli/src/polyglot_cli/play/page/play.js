// The page of `polyglot play`: a form, one or two panes with responses, and the lines of the server that fill them.

const $ = (id) => document.getElementById(id);
const copyOf = (id) => $(id).content.firstElementChild.cloneNode(true);
const form = $("form");

const status = (text) => { $("status").textContent = text; };
const seconds = (number) => (number < 0.0995 ? `${Math.round(number * 1000)} ms` : number < 9.995 ? `${number.toFixed(2)} s` : `${number.toFixed(1)} s`);
const counted = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

async function post(path, body = {}, signal = undefined) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({}));
    throw Object.assign(new Error(error?.message ?? `The page's server responded with status ${response.status}.`),
      { fields: error });
  }
  return response;
}

// The time of each chunk: how many characters had been received when. At most MOST points are kept.

class Plot {
  static MOST = 600;
  static WIDTH = 600;
  static HEIGHT = 72;

  constructor(figure) {
    this.figure = figure;
    this.svg = figure.querySelector("svg");
    this.points = []; // [seconds, characters so far]
    this.chunks = 0;
    this.characters = 0;
    this.pause = 0;
    this.last = 0;
    this.drawn = 0;
  }

  add(at, characters) {
    if (this.chunks) this.pause = Math.max(this.pause, at - this.last);
    this.first ??= at;
    this.chunks += 1;
    this.last = at;
    this.characters += characters;
    this.points.push([at, this.characters]);
    if (this.points.length > Plot.MOST) this.points = this.points.filter((_, index) => index % 2);
    if (performance.now() - this.drawn > 100) this.draw();
  }

  draw() {
    if (!this.points.length) return;
    this.drawn = performance.now();
    this.figure.hidden = false;
    const x = (at) => (at / Math.max(this.last, 0.001) * Plot.WIDTH).toFixed(1);
    const y = (count) => (Plot.HEIGHT - 12 - count / Math.max(this.characters, 1) * (Plot.HEIGHT - 18)).toFixed(1);
    let line = `M0 ${y(0)}`;
    let ticks = "";
    for (const [at, count] of this.points) {
      line += `H${x(at)}V${y(count)}`;
      ticks += `M${x(at)} ${Plot.HEIGHT - 8}V${Plot.HEIGHT - 1}`;
    }
    this.svg.querySelector(".line").setAttribute("d", line);
    this.svg.querySelector(".area").setAttribute("d", `${line}V${y(0)}Z`);
    this.svg.querySelector(".ticks").setAttribute("d", ticks);
    this.figure.querySelector(".to").textContent = seconds(this.last);
    this.figure.querySelector(".about").textContent = `${this.characters.toLocaleString("en")} characters`;
  }

  end() {
    this.draw();
    const pause = this.chunks > 1 ? ` Longest pause ${seconds(this.pause)}.` : "";
    this.svg.setAttribute("aria-label", `Plot of the characters received over time: ${counted(this.chunks, "chunk")
    } with content, the first after ${seconds(this.first ?? 0)}, the last after ${seconds(this.last)}.${pause}`);
    if (this.chunks > 1) this.figure.querySelector(".about").textContent += `, longest pause ${seconds(this.pause)}`;
  }
}

// One response.

const OUTCOMES = { finished: "Finished", truncated: "Truncated", failed: "Failed", timed_out: "Timed out",
  cancelled: "Stopped" };

class Pane {
  constructor() {
    this.element = copyOf("pane");
    $("panes").append(this.element);
    this.name = "";
  }

  part(selector) { return this.element.querySelector(selector); }

  describe(target) {
    this.models = [target.model, target.usual];
    this.name = target.model ? `${target.connection}, ${target.model}` : target.connection;
    const model = document.createElement("small");
    model.textContent = target.model ? ` ${target.model}` : "";
    this.part("h2").replaceChildren(target.connection, model);
    this.part(".text").setAttribute("aria-label", `Response of ${this.name}`);
  }

  async run(call) {
    this.begin(call);
    this.abort = new AbortController();
    try {
      const response = await post("stream", call, this.abort.signal);
      await this.read(response.body.getReader());
      if (!this.ended) throw new Error("The connection to `polyglot play` ended. Is it still running?");
    } catch (error) {
      this.flush();
      if (this.abort.signal.aborted) this.end({ outcome: "cancelled" });
      else this.end({ outcome: "failed", error: error.fields ?? { type: "No response", message: error.message } });
    }
  }

  begin(call) {
    const fresh = copyOf("pane");
    this.element.replaceWith(fresh);
    this.element = fresh;
    this.describe(call);
    this.plot = new Plot(this.part(".plot"));
    this.begun = performance.now();
    this.waiting = { text: "", reasoning: "", refusal: "" };
    this.counts = { events: 0, chunks: 0 };
    this.ended = false;
    this.badge("running", "Waiting");
    this.part(".empty").textContent = "Waiting for the first chunk…";
    this.element.setAttribute("aria-busy", "true");
  }

  stop() { this.abort?.abort(); }

  async read(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) this.take(JSON.parse(line));
    }
    this.flush();
  }

  take(line) {
    if (line.type === "delta") this.delta(line);
    else if (line.type === "tool_call") this.toolCall(line);
    else if (line.type === "event") this.list("events", line.at, line.event, line.fields);
    else if (line.type === "chunk") this.list("chunks", line.at, "", line.raw);
    else if (line.type === "seam") this.seam(line);
    else if (line.type === "end") { this.flush(); this.end(line); }
  }

  receiving() {
    if (this.part(".empty").hidden) return;
    this.part(".empty").hidden = true;
    if (panes.length === 1) status(`Receiving from ${this.name}…`);
    this.badge("running", "Receiving");
  }

  delta(line) {
    let characters = 0;
    for (const kind of ["text", "reasoning", "refusal"]) {
      this.waiting[kind] += line[kind] ?? "";
      characters += (line[kind] ?? "").length;
    }
    this.plot.add(line.at, characters);
    // One change of the document for all chunks between two frames. A hidden page has no frames.
    if (document.hidden) this.flush();
    else this.frame ??= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { text, reasoning, refusal } = this.waiting;
    if (!(text || reasoning || refusal)) return;
    this.waiting = { text: "", reasoning: "", refusal: "" };
    const follows = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
    this.receiving();
    this.part(".text").append(text);
    if (refusal) {
      const span = document.createElement("span");
      span.className = "refusal";
      span.append(refusal);
      this.part(".text").append(span);
    }
    if (reasoning) {
      this.part(".reasoning").hidden = false;
      this.part(".reasoning div").append(reasoning);
    }
    if (follows) scrollTo({ top: document.documentElement.scrollHeight });
  }

  toolCall(line) {
    this.receiving();
    this.plot.add(line.at, line.arguments.length);
    const list = this.part(".tools");
    list.hidden = false;
    while (list.children.length <= line.index) {
      const item = document.createElement("li");
      item.append(document.createElement("b"), document.createElement("code"));
      list.append(item);
    }
    const [name, code] = list.children[line.index].children;
    name.textContent = line.name || "tool call";
    code.append(line.arguments);
  }

  list(kind, at, name, text) {
    const item = document.createElement("li");
    const time = document.createElement("span");
    const code = document.createElement("code");
    time.textContent = at.toFixed(3);
    if (name) {
      const bold = document.createElement("b");
      bold.textContent = name;
      code.append(bold, " ");
    }
    code.append(text);
    item.append(time, code);
    const details = this.part(`.${kind}`);
    details.hidden = false;
    details.querySelector("ol").append(item);
    this.counts[kind] += 1;
  }

  seam(line) {
    this.flush();
    const item = document.createElement("li");
    const how = { fallback: `Falling back to ${line.connection}`, retry: "Sending the request again",
      restart: "The response starts anew" }[line.how] ?? "The response is continued";
    const wait = line.wait ? ` in ${seconds(line.wait)}` : "";
    item.textContent = `${line.error}: ${line.message} ${how}${wait}.`;
    this.part(".seams").hidden = false;
    this.part(".seams").append(item);
    status(`${this.name}: ${item.textContent}`);
    if (!line.keeps) {
      for (const selector of [".text", ".reasoning div", ".tools"]) this.part(selector).replaceChildren();
    }
  }

  badge(state, text) {
    const badge = this.part(".badge");
    badge.hidden = false;
    if (badge.textContent !== text) badge.textContent = text;
    badge.dataset.state = state;
  }

  end(line) {
    this.ended = true;
    this.plot.end();
    this.element.removeAttribute("aria-busy");
    this.badge(line.outcome, OUTCOMES[line.outcome] ?? line.outcome);
    const nothing = !this.plot.chunks;
    this.part(".empty").hidden = !(nothing && !line.error);
    this.part(".empty").textContent = line.outcome === "cancelled" ? "Stopped before any content was received."
      : "The response has no content.";
    this.facts(line);
    for (const kind of ["events", "chunks"]) this.counted(kind, line[kind]);
    if (line.error) this.error(line.error, nothing);
    const took = seconds((performance.now() - this.begun) / 1000);
    this.said = line.error ? `${this.name}: ${line.error.type}: ${line.error.message}`
      : `${this.name}: ${(OUTCOMES[line.outcome] ?? line.outcome).toLowerCase()} after ${took}.`;
  }

  facts(line) {
    const usage = line.usage ?? {};
    const first = line.timing?.first_event ?? this.plot.first;
    const total = line.timing?.duration ?? (performance.now() - this.begun) / 1000;
    const rate = usage.output_tokens && total - first > 0.001 ? usage.output_tokens / (total - first) : null;
    const facts = {
      "First chunk": first == null ? null : seconds(first),
      "Total": seconds(total),
      "Tokens in": amount(usage.input_tokens),
      "Cached": usage.cache_read_tokens ? amount(usage.cache_read_tokens) : null,
      "Tokens out": amount(usage.output_tokens),
      "Reasoning": usage.reasoning_tokens ? amount(usage.reasoning_tokens) : null,
      "Tokens/s": rate?.toFixed(1),
      "Cost": line.cost,
      "Chunks": this.plot.chunks || null,
      "Finish": line.finish_reason,
      "Failed attempts": line.failed_attempts || null,
      "Served by": this.models.includes(line.model) ? null : line.model,
    };
    fill(this.part(".facts"), facts);
    this.part(".facts").hidden = false;
  }

  counted(kind, total) {
    const details = this.part(`.${kind}`);
    const shown = this.counts[kind];
    details.querySelector("summary").append(` (${(total ?? shown).toLocaleString("en")})`);
    if (total > shown) {
      details.querySelector(".cut").hidden = false;
      details.querySelector(".cut").textContent = `The first ${shown.toLocaleString("en")} are shown.`;
    }
  }

  error(error, nothing) {
    const box = this.part(".error");
    box.hidden = false;
    box.querySelector("h3").textContent = error.type;
    box.querySelector(".message").textContent = error.message;
    box.querySelector(".advice").textContent = nothing ? error.hint ?? ""
      : ["What was received before is shown above.", error.hint ?? ""].join(" ");
    const retry = error.retry_after == null ? null : seconds(error.retry_after);
    fill(box.querySelector("dl"), { status: error.status, code: error.code, "retry after": retry,
      "request id": error.request_id });
  }
}

const amount = (count) => count?.toLocaleString("en");

function fill(list, facts) {
  for (const [name, value] of Object.entries(facts)) {
    if (value == null) continue;
    const [pair, term, text] = ["div", "dt", "dd"].map((kind) => document.createElement(kind));
    term.textContent = name;
    text.textContent = value;
    pair.append(term, text);
    list.append(pair);
  }
}

// What is called: a connection and a model.

class Target {
  constructor(letter) {
    this.element = copyOf("target");
    this.select = this.element.querySelector(".connection");
    this.model = this.element.querySelector(".model");
    this.button = this.element.querySelector(".list");
    for (const [field, name] of [[this.select, "connection"], [this.model, "model"]]) {
      field.id = `${name}-${letter}`;
      field.closest(".field").querySelector("label").htmlFor = field.id;
    }
    const models = this.element.querySelector("datalist");
    models.id = `models-${letter}`;
    this.model.setAttribute("list", models.id);
    this.models = models;
    this.select.addEventListener("change", () => this.chosen());
    this.button.addEventListener("click", () => this.list());
    $("targets").append(this.element);
  }

  get connection() { return this.select.value; }

  get names() { return { connection: this.connection, model: this.model.value.trim(), usual: this.usual }; }

  offer(connections, index) {
    this.known = new Map(connections.map((each) => [each.name, each]));
    const groups = { file: "Yours", local: "On this machine", hosted: "Hosted" };
    for (const [group, label] of Object.entries(groups)) {
      const members = connections.filter((each) => each.group === group);
      if (!members.length) continue;
      const element = document.createElement("optgroup");
      element.label = label;
      element.append(...members.map((each) => new Option(`${each.name} (${each.state})`, each.name)));
      this.select.append(element);
    }
    this.select.value = connections[Math.min(index, connections.length - 1)].name;
    this.chosen();
  }

  chosen() {
    this.model.value = "";
    this.usual = this.known.get(this.connection)?.model ?? null;
    this.model.placeholder = this.usual ?? "name of a model";
    this.models.replaceChildren();
    this.button.setAttribute("aria-label", `List the models of ${this.connection}`);
    describe();
  }

  async list() {
    this.button.disabled = true;
    status(`Requesting the models of ${this.connection}…`);
    try {
      const { models } = await (await post("models", { connection: this.connection })).json();
      this.models.replaceChildren(...models.map((name) => new Option(name, name)));
      status(`${counted(models.length, "model")}; the arrow keys choose one.`);
    } catch (error) {
      status(error.message);
    }
    this.button.disabled = false;
    this.model.focus();
    try {
      this.model.showPicker();
    } catch { // the browser has no such list, or the request took so long that the click no longer counts
      return;
    }
  }
}

// The form.

const targets = [];
const panes = [];
let running = false;

const fields = () => ({
  prompt: $("prompt").value,
  system: $("system").value,
  options: [
    ...["max_tokens", "temperature", "reasoning_effort"].map($).filter((field) => field.value)
      .map((field) => `${field.name}=${field.value}`),
    ...$("others").value.split("\n"),
  ],
});

async function calls() {
  const files = await Promise.all([...$("files").files].map(async (file) => ({
    name: file.name, data: await base64(file),
  })));
  return targets.map((target) => ({ ...fields(), files, ...target.names }));
}

const base64 = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});

function describe() {
  targets.forEach((target, index) => {
    const which = targets.length > 1 ? ["First ", "Second "][index] : "";
    const labels = target.element.querySelectorAll("label");
    ["connection", "model"].forEach((name, position) => {
      labels[position].textContent = which ? which + name : name[0].toUpperCase() + name.slice(1);
    });
    if (!panes[index].abort) {
      panes[index].describe(target.names);
    }
  });
}

function setRunning(now) {
  running = now;
  $("send").disabled = now;
  $("stop").disabled = !now;
  $("compare").disabled = now;
}

async function send() {
  if (running) return;
  setRunning(true);
  try {
    const made = await calls();
    status(made.length > 1 ? "Two requests are sent…" : `Sending to ${made[0].connection}…`);
    await Promise.all(made.map((call, index) => panes[index].run(call)));
    status(panes.map((pane) => pane.said).join(" "));
  } catch (error) {
    status(error.message);
  }
  const hadFocus = document.activeElement === $("stop");
  setRunning(false);
  if (hadFocus || document.activeElement === document.body) $("prompt").focus();
}

const stop = () => panes.forEach((pane) => pane.stop());

function setCompared(compared) {
  if (compared === targets.length > 1) return;
  if (compared) {
    targets.push(new Target("b"));
    panes.push(new Pane());
    targets[1].offer(connections, 1);
  } else {
    targets.pop().element.remove();
    panes.pop().element.remove();
  }
  describe();
}

async function showCode() {
  try {
    const made = await calls();
    const codes = await Promise.all(made.map(async (call) => (await (await post("python", call)).json()).code));
    $("code-text").textContent = codes.join("\n");
    $("code-status").textContent = "";
    $("code").showModal();
  } catch (error) {
    status(error.message);
  }
}

async function copyCode() {
  try {
    await navigator.clipboard.writeText($("code-text").textContent);
    $("code-status").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren($("code-text"));
    $("code-status").textContent = "Selected; press Ctrl+C to copy.";
  }
}

form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("stop").addEventListener("click", stop);
$("compare").addEventListener("change", () => setCompared($("compare").checked));
$("python").addEventListener("click", showCode);
$("code-copy").addEventListener("click", copyCode);
$("code-close").addEventListener("click", () => $("code").close());
$("files").addEventListener("change", () => {
  const count = $("files").files.length;
  $("file-count").textContent = count ? ` (${count})` : "";
});
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("code").open) {
    event.preventDefault();
    send();
  } else if (event.key === "Escape" && running) {
    stop();
  }
});
if (/Mac|iPhone|iPad/.test(navigator.platform)) $("keys").querySelector("kbd").textContent = "⌘";

let connections = [];
panes.push(new Pane());
try {
  connections = (await (await post("connections")).json()).connections;
  targets.push(new Target("a"));
  targets[0].offer(connections, 0);
  $("alone").hidden = connections.length > 1;
  $("compare").checked = false; // a reload keeps it in some browsers
} catch (error) {
  panes[0].describe({ connection: "No connections" });
  panes[0].error(error.fields ?? { type: "No response", message: error.message }, true);
}
