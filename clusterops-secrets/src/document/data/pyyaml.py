"""Writes pyyaml.json: YAML documents and, for each scalar in order, its path and the text that PyYAML reads.

    python3 pyyaml.py > pyyaml.json
"""

import json
import random

import yaml

random.seed(5)

HAND = [
    "a: x\nb: 'it''s'\nc: \"q\\t\\x41\\u00e9\\U0001F600\\e\\_\\N\"\n",
    "a: |\n  l1\n   l2\n\n  l3\n\n# c\nb: >-\n  x\n  y\n\n   z\n  w\nc: |+\n  k\n\n\nd: 1\n",
    "a: plain\n  more  \n  text  \n\n  after\nb: \"d\n\n  e \\\n   f\"\nc: 'g\n\n\n  h'\n",
    "l:\n- a\n-\n- - n\n  - m\n- k: v\n  j:\n  - p\n",
    "{a: , b: x y , \"d\":1, e: [1, 2 ], f: {g: [h: i]}}\n",
    "%YAML 1.1\n---\na: 1 # c\n...\n",
    "\"é\": \"é\\x41\"\r\nb: v\r\nc: |\r\n  x\r\n  y\r\n",
    "? a b\n: |\n  x\n? c\n: d\n",
    "a: !!str 1\nb: !x y\nc: &q z\nd: !!map {b: &w [x]}\n",
    "a: |2\n   x\n  y\nb: >+ # c\n\n x\n\n",
    "a: x:y\nb: x#y\nc: -x\nd: ?x\ne: http://h:1/p?q#f\n",
    "a: 'x'   # c\nb:\n  # c\n  y\nc: # c\n  - z # c\n",
    "a: \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\0\"\nb: ''\nc: \"\"\n",
    "a: ENC[x:y z]\nb: SEALED[aaa.bbb]\n",
]

WORDS = ["x", "x y", "it's", "a: b", "# c", "é", "1", "yes", "", " lead", "trail ", "two\nlines", "a\n\nb\n", "\\n", '"q"',
         "-", "- x", "[l]", "{m}", "*a", "&a", "!t", "%", "@", "`", "tab\tin", "ENC[n:v]", "x # y", "\u00a0nb", "~", "\U0001f600"]


def node(depth):
    kind = random.random()
    if depth < 3 and kind < 0.25:
        return {random.choice("abcdefgh") + str(n): node(depth + 1) for n in range(random.randint(1, 3))}
    if depth < 3 and kind < 0.4:
        return [node(depth + 1) for _ in range(random.randint(1, 3))]
    return random.choice(WORDS)


def generated():
    for _ in range(140):
        tree = {name: node(0) for name in random.sample("klmnop", random.randint(1, 4))}
        yield yaml.dump(
            tree,
            default_style=random.choice([None, None, "'", '"', "|", ">"]),
            default_flow_style=random.choice([None, False, True]),
            allow_unicode=random.choice([True, False]),
            width=random.choice([20, 80]),
            indent=random.choice([2, 4]),
            explicit_start=random.random() < 0.2,
            line_break=random.choice(["\n", "\n", "\r\n"]),
        )


def escape(name):
    return name.replace("~", "~0").replace("/", "~1")


def scalars(at, path):
    if isinstance(at, yaml.MappingNode):
        for key, value in at.value:
            yield from scalars(value, f"{path}/{escape(key.value)}")
    elif isinstance(at, yaml.SequenceNode):
        for index, value in enumerate(at.value):
            yield from scalars(value, f"{path}/{index}")
    else:
        yield path, at.value


table = [[source, list(scalars(yaml.compose(source, Loader=yaml.BaseLoader), ""))] for source in [*HAND, *generated()]]
print(json.dumps(table, indent=0))
