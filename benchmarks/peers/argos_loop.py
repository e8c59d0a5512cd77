"""Argos Translate's own loop, as a library user would call it. Runs in the peers' environment, not in ours.

Reads a line of JSON with `texts` and `callers`, answers with a line of JSON, until its input ends.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from argostranslate import translate

translation = translate.get_translation_from_codes("ar", "en")
translation.translate("مرحبا.")  # loads the model
package = translation.underlying
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    started = time.perf_counter()
    with ThreadPoolExecutor(request["callers"]) as callers:
        answers = list(callers.map(translation.translate, request["texts"]))
    seconds = time.perf_counter() - started
    sentences = [
        len(package.pkg.tokenizer.encode(sentence))
        for text in request["texts"]
        for paragraph in text.split("\n")
        for sentence in package.sentencizer.split_sentences(paragraph)
    ]
    counts = {"sentences": len(sentences), "tokens": sum(sentences), "words": sum(len(a.split()) for a in answers)}
    print(json.dumps({"seconds": seconds} | counts), flush=True)
