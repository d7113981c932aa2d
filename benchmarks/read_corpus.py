"""Time and memory to read a growing column file: `python benchmarks/read_corpus.py eng.train`.

Reads the file once, and concatenated 4 and 16 times, each in a new process, and prints a table. Times are the best of
three, without imports; memory is the peak of the process above what the imports take.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"

# Peak memory is that of the first reading: later ones reuse freed memory.
READ = """
import json, resource, sys, time
from twinner.corpus import read_corpus
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds = []
for _ in range(3):
    start = time.perf_counter()
    corpus = read_corpus(sys.argv[1])
    seconds.append(time.perf_counter() - start)
    if len(seconds) == 1:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sentences = corpus.train + corpus.dev + corpus.test
    counts = len(sentences), sum(len(sentence.tokens) for sentence in sentences)
    del corpus, sentences
print(json.dumps([*counts, min(seconds), peak / 1024]))
"""


def measure(file: Path) -> tuple[int, int, float, float]:
    """Read a file in a new process; return sentences, tokens, seconds, and peak memory in MiB (Linux reports KiB)."""
    command = [sys.executable, "-c", READ, str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(STEPS)})
    sentences, tokens, seconds, memory = json.loads(done.stdout)
    return sentences, tokens, seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="a column file, such as eng.train")
    file = parser.parse_args().file
    print("| times | file (MB) | sentences | tokens | read (s) | tokens/s | peak memory (MiB) |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, 4, 16):
            repeated = Path(folder) / f"{times}.conll"
            with repeated.open("wb") as out:
                for _ in range(times):
                    with file.open("rb") as source:
                        shutil.copyfileobj(source, out)
                    out.write(b"\n")
            sentences, tokens, seconds, memory = measure(repeated)
            size = repeated.stat().st_size / 1e6
            row = f"{size:.1f} | {sentences:,} | {tokens:,} | {seconds:.2f} | {tokens / seconds:,.0f} | {memory:,.0f}"
            print(f"| {times} | {row} |", flush=True)


if __name__ == "__main__":
    main()
