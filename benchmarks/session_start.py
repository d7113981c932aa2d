"""How long a Spark session with Spark NLP takes to start: `python benchmarks/session_start.py`.

Compares the step's session, with locked jars on Java's class path, to the one in Spark NLP's guides, where Spark
resolves `spark.jars.packages` and copies the jars at each start. Both alternate, each start in a new process, after an
uncounted start of each that downloads the jars. Measured from the call that starts the session until an annotator
exists in it, without Python's imports, which are the same. Both use the lock's TensorFlow in place of the builds that
Spark NLP depends on.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from pyspark.sql import SparkSession  # noqa: E402
from sparknlp.base import DocumentAssembler  # noqa: E402
from twinner.spark.jars import read_lock  # noqa: E402
from twinner.spark.java import java_home, trust_options  # noqa: E402
from twinner.spark.session import spark_session  # noqa: E402

REPLACED = ("tensorflow-cpu_2.12", "jsl-llamacpp-cpu_2.12", "jsl-openvino-cpu_2.12")


def packages(folder: Path) -> None:
    """Start the session as in the guides, with Ivy's cache in a folder."""
    os.environ["JAVA_HOME"] = str(java_home())
    locked = {jar.artifact: jar for jar in read_lock()}
    nlp, tensorflow = locked["spark-nlp_2.12"], locked["tensorflow-core-api"]
    platforms = f"{tensorflow.group}:tensorflow-core-platform:{tensorflow.version}"  # its natives, of all platforms
    builder = SparkSession.builder.master("local[*]").config("spark.driver.memory", "4g")
    for key, value in {
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryoserializer.buffer.max": "2000M",
        "spark.driver.maxResultSize": "0",
        "spark.jars.packages": f"{nlp.group}:{nlp.artifact}:{nlp.version},{platforms}",
        "spark.jars.excludes": ",".join(f"{nlp.group}:{name}" for name in REPLACED),
        "spark.jars.ivy": str(folder / "ivy"),
        "spark.driver.extraJavaOptions": " ".join(trust_options(folder)),
    }.items():
        builder = builder.config(key, value)
    builder.getOrCreate()


def start(which: str, folder: Path) -> float:
    """Return the seconds until an annotator exists in a new session."""
    began = time.perf_counter()
    if which == "packages":
        packages(folder)
    else:
        spark_session(driver_memory="4g")
    DocumentAssembler()
    return time.perf_counter() - began


def measure(which: str, folder: Path) -> float:
    """Start a session in a new process; show the output of Java and Ivy only if it fails."""
    command = [sys.executable, __file__, f"--only={which}", f"--folder={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Start both alternately, and print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5, help="starts of each")
    parser.add_argument("--only", choices=["packages", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(start(arguments.only, arguments.folder))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cold = {which: measure(which, folder) for which in ("packages", "ours")}
        print(f"first start (not counted): packages {cold['packages']:.1f} s, ours {cold['ours']:.1f} s")
        print("| start | spark.jars.packages (s) | ours (s) | ratio |")
        print("| ---: | ---: | ---: | ---: |")
        ratios = []
        for turn in range(1, arguments.times + 1):
            theirs, own = measure("packages", folder), measure("ours", folder)
            ratios.append(own / theirs)
            print(f"| {turn} | {theirs:.1f} | {own:.1f} | {ratios[-1]:.2f} |", flush=True)
    print(f"median ratio: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
