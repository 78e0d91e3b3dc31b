"""Packaging of tfprune: `pip install .` for the library, extras for what only some users need (docs/architecture.md has the reasons)."""
import pathlib

from setuptools import find_packages, setup

setup(
    name="tfprune",
    version="0.1.0",
    description="Which parts of a neural network does it really need? Studies of width, redundancy and pruning for TensorFlow 2 / Keras",
    long_description=pathlib.Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["tfprune", "tfprune.*"]),
    package_data={"tfprune.report": ["*.css", "*.js"], "tfprune.sweep": ["*.sh"]},
    install_requires=[
        "tensorflow>=2.18,<2.22",
        "tf-keras>=2.18,<2.22",
        "tensorflow-model-optimization>=0.8.1",
        "tensorflow-datasets>=4.9.7",
        "importlib_resources",
        "tensorboard",
        "absl-py",
        "numpy>=2",
        "pandas",
        "matplotlib",
        "pillow",
        "scikit-learn",
        "threadpoolctl",
        "tqdm",
        "pyyaml",
    ],
    extras_require={
        "report": ["plotly"],
        "ray": ["ray"],
        "torch": ["torch"],
        "notebooks": ["jupyter", "nbclient", "ipykernel"],
        "gpu": ["tensorflow[and-cuda]"],
        "docs": ["sphinx", "myst-parser"],
        "test": ["pytest", "pytest-xdist", "ruff", "nbclient", "ipykernel", "plotly", "playwright", "ray", "sphinx", "myst-parser"],
    },
)
