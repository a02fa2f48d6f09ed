// Reads a response that `as_sse` or `StreamResponse` sends in the shape "partials". Returns { stop(), lastEventId }.
//
//   readStream("/story", { body: { prompt }, onText: (text) => (element.textContent = text), onFinish, onError });
//
// With `body` it sends a POST with JSON, else a GET. `lastEventId: key + ".0"` reads a response from its beginning again.
// Callbacks: onOpen(key), onText(text, delta), onEvent(event), onReconnect(attempt), onFinish(end), onError(error).
export function readStream(url, { body, headers, lastEventId, tries = 5, silence = 45000, ...on } = {}) {
  let text = "", retry = 1000, lost = 0, ended = false, connection;

  function call(name, ...values) {
    try { on[name]?.(...values); } catch (error) { reportError(error); } // of the page, not of the connection
  }
  function end(name, event) {
    ended = true;
    call(name, { ...event, text });
  }
  function take(block) {
    const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/)));
    if (fields.retry) retry = Number(fields.retry);
    if (fields.id && !lastEventId) call("onOpen", fields.id.split(".")[0]);
    if (fields.id) lastEventId = fields.id;
    if (!fields.data || ended) return;
    const event = JSON.parse(fields.data);
    lost = 0;
    if (event.outcome) return end(event.outcome === "finished" || event.stopped ? "onFinish" : "onError", event);
    if (event.seam && !event.seam.keeps) text = "";
    if (!event.choice) text += event.content_delta ?? "";
    call("onEvent", event);
    if (event.content_delta || event.seam) call("onText", text, event.content_delta ?? "");
  }
  async function read() {
    connection = new AbortController();
    const json = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const sent = { accept: "text/event-stream", ...(json.body && { "content-type": "application/json" }), ...headers };
    if (lastEventId) sent["last-event-id"] = lastEventId;
    let rest = "", blocks, timer = setTimeout(() => connection.abort(), silence);
    try {
      const response = await fetch(url, { ...json, headers: sent, signal: connection.signal, cache: "no-store" });
      if (!response.ok) throw new Error(`The server responded with status ${response.status}.`);
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader?.read(); part && !part.done && !ended; part = await reader.read()) {
        clearTimeout(timer);
        timer = setTimeout(() => connection.abort(), silence); // a server pings, so silence is a lost connection
        [rest, ...blocks] = (rest + part.value).split("\n\n").reverse();
        blocks.reverse().forEach(take);
      }
      if (!ended) throw new Error("The connection was lost.");
    } catch (error) {
      if (ended) return;
      if (!lastEventId || ++lost > tries) return end("onError", { error: "Disconnected", message: error.message });
      call("onReconnect", lost);
      setTimeout(() => ended || read(), retry * 2 ** (lost - 1));
    } finally {
      clearTimeout(timer);
    }
  }

  read();
  return { stop: () => ((ended = true), connection.abort()), get lastEventId() { return lastEventId; } };
}
