#!/usr/bin/env python3
"""Prints a dictionary for libFuzzer: nginx's directives and the words that they take.

    tools/fuzz_dictionary.py > nginx.dict
"""

from pathlib import Path

DATA = Path(__file__).parent.parent / "src" / "directives"

words = set("{ } ; $ ${ ~ ~* ^~ = @ on off default_server ssl http:// unix: zone= shared: keys_zone= default".split())
for line in (DATA / "nginx.tsv").read_text().splitlines()[1:]:
    name, *_, detail, _ = line.split("\t")
    words.add(name)
    words.update(word for word in detail.split() if not detail.startswith("post ") and word != "-")
for word in sorted(words):
    print('"%s"' % word.replace("\\", "\\\\").replace('"', '\\"'))
