"""Items per CPU-second of the encoders against sentence-transformers, in one run on the same texts.

sentence-transformers and torch live in an environment of their own (about 1.4 GB with torch's CPU
build), made by the first run and kept; BENCH_PYTHON names another interpreter that has them.
CPU time is that of all threads, and threads that wait sleep (OMP_WAIT_POLICY), for every encoder:
with spinning, sentence-transformers would look two to three times worse on a busy machine.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = Path(tempfile.gettempdir()) / "windowshop-bench" / "encode-env"
ITEMS = 5000
CHUNK = 1000  # the encoders take turns, so that a neighbour's load falls on all of them
QUERIES = 300
ASK = "import sentence_transformers, torch, transformers, onnx, onnxruntime"


def run() -> dict[str, float]:
    """Measure in a fresh process of an interpreter that has all of it."""
    texts = _texts()
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder, "texts.json"), Path(folder, "figures.json")
        inputs.write_text(json.dumps(texts))
        subprocess.run(
            (_interpreter(), __file__, inputs, outputs, _model_folder(), folder),
            check=True,
            env={
                **os.environ,
                "OMP_WAIT_POLICY": "PASSIVE",
                "PYTHONPATH": str(ROOT / "shared"),
            },
        )
        figures: dict[str, float] = json.loads(outputs.read_text())
    return figures


def _texts() -> dict[str, list[str]]:
    """`distinct`: titles, brands and categories of the demo's items, every second one with a
    description, which they lack: 5 to 60 of their words. `repeating`: a stretch as it is.
    """
    from windowshop.demo import catalogue, source

    products = source.products(source.folder())
    rows = [item.text() for item in catalogue.items(products, {})]
    chance = random.Random(20)
    distinct = chance.sample(sorted(set(rows)), ITEMS)
    words = " ".join(distinct).split()
    for at in range(0, ITEMS, 2):
        distinct[at] += "\n" + " ".join(chance.choices(words, k=chance.randint(5, 60)))
    middle = len(rows) // 2
    return {"distinct": distinct, "repeating": rows[middle : middle + ITEMS]}


def _model_folder() -> Path:
    from windowshop.encode.finding import find

    return find("all-MiniLM-L6-v2", ENVIRONMENT.parent)[0]


def _interpreter() -> str:
    own = ENVIRONMENT / "bin" / "python"
    for candidate in (os.environ.get("BENCH_PYTHON"), sys.executable, str(own)):
        if candidate and _has_all(candidate):
            return candidate
    print(f"installing torch and sentence-transformers into {ENVIRONMENT} (once)", flush=True)
    subprocess.run((sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)), check=True)
    ours = ("numpy", "onnx", "onnxruntime", "tokenizers", "safetensors")
    pins = [f"{name}=={version(name)}" for name in ours]
    command = (str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    wanted = ("-r", str(ROOT / "requirements" / "torch.txt"), "sentence-transformers==6.2.0")
    subprocess.run((*command, *wanted, *pins), check=True)
    if not _has_all(str(own)):
        raise RuntimeError(
            f"{ENVIRONMENT} lacks something; try: {own} -c '{ASK}'. Or set BENCH_PYTHON to an"
            " interpreter with torch, transformers, sentence-transformers, onnx and onnxruntime"
        )
    return str(own)


def _has_all(interpreter: str) -> bool:
    try:
        ran = subprocess.run((interpreter, "-c", ASK), capture_output=True, check=False)
    except OSError:
        return False
    return ran.returncode == 0


# --- in the process that measures ----------------------------------------------------------------


def measure(texts: dict[str, list[str]], folder: str, models: Path) -> dict[str, float]:
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer

    from windowshop.encode import ModelSpec, open_encoder
    from windowshop.encode.batching import cores
    from windowshop.encode.pytorch import computes_bf16

    theirs = SentenceTransformer(folder, device="cpu")
    ours = open_encoder(ModelSpec(folder), models)
    on_torch = open_encoder(ModelSpec(folder, runtime="torch"), models, device="cpu")

    def sentence_transformers(chunk: list[str]) -> object:
        # As it comes; the other encoder on torch gives each of its threads one core.
        torch.set_num_threads(cores())
        return theirs.encode(chunk, normalize_embeddings=True, show_progress_bar=False)

    def torch_encoder(chunk: list[str]) -> object:
        torch.set_num_threads(1)
        return on_torch.encode(chunk)

    encoders = {"theirs": sentence_transformers, "ours": ours.encode, "torch": torch_encoder}
    kind = "bf16" if computes_bf16(torch.device("cpu")) else "fp32: no bf16 in this processor"
    labels = {
        "theirs": "sentence-transformers, fp32",
        "ours": "windowshop on ONNX Runtime, fp32",
        "torch": f"windowshop on torch, {kind}",
    }
    rates: dict[str, dict[str, float]] = {}
    vectors: dict[str, list[object]] = {name: [] for name in encoders}
    for encode in encoders.values():
        encode(texts["distinct"][:64])  # warm
    for which, rows in texts.items():
        spent = dict.fromkeys(encoders, 0.0)
        for start in range(0, len(rows), CHUNK):
            for name, encode in encoders.items():
                begin = time.process_time()
                found = encode(rows[start : start + CHUNK])
                spent[name] += time.process_time() - begin
                if which == "distinct":
                    vectors[name].append(found)
        rates[which] = {name: len(rows) / seconds for name, seconds in spent.items()}
    theirs_, ours_, torch_ = (np.concatenate(list(vectors[name])) for name in encoders)
    queries = _query_ms(ours.encode, texts["distinct"])
    for which, rate in rates.items():
        print(f"{which}: {len(texts[which])} texts, {len(set(texts[which]))} of them distinct")
        for name, value in rate.items():
            share = value / rate["theirs"]
            print(f"    {labels[name]:40} {value:8.0f} items/CPU-s {share:6.2f}x")
    return {
        "encode_ratio_vs_sentence_transformers": rates["distinct"]["ours"]
        / rates["distinct"]["theirs"],
        "encode_torch_ratio": rates["distinct"]["torch"] / rates["distinct"]["theirs"],
        "encode_cosine_min": float((ours_ * theirs_).sum(axis=1).min()),
        "encode_torch_cosine_min": float((torch_ * theirs_).sum(axis=1).min()),
        "encode_ratio_with_repeats": rates["repeating"]["ours"] / rates["repeating"]["theirs"],
        "encode_items_per_cpu_s": rates["distinct"]["ours"],
        "encode_query_p50_ms": queries,
    }


def _query_ms(encode: object, texts: list[str]) -> float:
    """Wall ms of one short query, median."""
    assert callable(encode)
    times = []
    for at in range(QUERIES):
        begin = time.perf_counter()
        encode([" ".join(texts[at].split()[:3])], query=True)
        times.append(time.perf_counter() - begin)
    return sorted(times)[QUERIES // 2] * 1000


if __name__ == "__main__":
    if len(sys.argv) == 5:
        inputs, outputs, model, home = sys.argv[1:]
        found = measure(json.loads(Path(inputs).read_text()), model, Path(home))
        Path(outputs).write_text(json.dumps(found))
    else:
        print(json.dumps(run(), indent=2))
