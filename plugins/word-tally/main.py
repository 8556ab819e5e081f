"""The tools. Everything about the wire is in sallyport_v1.py, which can be copied into another plugin."""

import re
import threading
from collections import Counter

import sallyport_v1

COUNTING = threading.Lock()  # calls run at the same time


def words_of(text, call):
    ignored = {word.lower() for word in call.config.get("ignore", [])}
    return [word for word in re.findall(r"\w+", text.lower()) if word not in ignored]


def count(arguments, call):
    words = words_of(arguments["text"], call)
    frequent = Counter(words).most_common(arguments.get("top", 5))
    return {"words": len(words), "top": [{"word": word, "count": number} for word, number in frequent]}


def tally(arguments, call):
    added = len(words_of(arguments["text"], call))
    with COUNTING:
        total = (call.ask("kv.get", key="total")["value"] or 0) + added
        call.ask("kv.set", key="total", value=total)
    call.log("info", f"{added} words more")
    return {"added": added, "total": total}


if __name__ == "__main__":
    sallyport_v1.serve({"count": count, "tally": tally})
