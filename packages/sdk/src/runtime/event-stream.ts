/** One event of a `text/event-stream`, as the standard dispatches it. */
export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

export interface EventStreamParser {
  push(text: string): void;
}

/* An event that never ends must not fill the memory. */
const EVENT_CHARS = 1024 * 1024;

/**
 * Splits a stream's text into events: LF, CR and CRLF end lines, one byte order mark at the start is dropped, a comment or an
 * event without data is none, the last event without its empty line is dropped. @throws {RangeError} over 1 MiB an event.
 */
export function createEventStreamParser(
  onEvent: (event: ServerEvent) => void,
  onRetry: (ms: number) => void,
  lastEventId = "",
): EventStreamParser {
  let rest = "";
  let started = false;
  let data: string[] = [];
  let size = 0;
  let type = "";

  const dispatch = (): void => {
    if (data.length > 0) onEvent({ type: type === "" ? "message" : type, data: data.join("\n"), lastEventId });
    data = [];
    size = 0;
    type = "";
  };
  const line = (text: string): void => {
    if (text === "") return dispatch();
    const colon = text.indexOf(":");
    const field = colon === -1 ? text : text.slice(0, colon);
    const value = colon === -1 ? "" : text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      size += value.length;
      if (size > EVENT_CHARS) throw new RangeError("An event of the stream is over 1 MiB.");
      data.push(value);
    } else if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) lastEventId = value;
    else if (field === "retry" && /^\d+$/.test(value)) onRetry(Number(value));
  };

  return {
    push(text) {
      let all = rest + text;
      if (!started && all !== "") {
        started = true;
        if (all.startsWith("\ufeff")) all = all.slice(1);
      }
      let start = 0;
      const ends = /\r\n|\r(?!$)|\n/g;
      for (let end = ends.exec(all); end; end = ends.exec(all)) {
        line(all.slice(start, end.index));
        start = ends.lastIndex;
      }
      rest = all.slice(start);
      if (rest.length > EVENT_CHARS) throw new RangeError("An event of the stream is over 1 MiB.");
    },
  };
}
