"""Every ranker in each of the shapes that its settings give it, small."""

from typing import Any

from models.catalogue import names

MLP: dict[str, Any] = {"hidden": [12, 8]}
NORMED: dict[str, Any] = {"hidden": [12, 8], "dropout": 0.2, "batch_norm": True}
GENERATION: dict[str, Any] = {"channels": [2, 3], "kernel": 3, "recombined": 2}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoint": ("autoint", {"attention": {"layers": 2, "width": 6}}),
    "autoint of the benchmark": (
        "autoint",
        {
            "attention": {"layers": 3, "width": 4, "residual": "identity", "scale": True, "norm": "before"},
            "mlp": NORMED,
            "wide": True,
        },
    ),
    "autoint of the authors": (
        "autoint",
        {"attention": {"layers": 2, "width": 8, "heads": 4, "scale": True, "activation": True, "norm": "after"}},
    ),
    "autoint without residuals": ("autoint", {"attention": {"layers": 1, "residual": "none"}, "mlp": MLP}),
    "autoint without attention": ("autoint", {"attention": {"layers": 0}, "mlp": MLP, "wide": True}),
    "dcn": ("dcn", {"cross_layers": 2, "mlp": NORMED}),
    "dcn of crosses alone": ("dcn", {"cross_layers": 2, "mlp": None}),
    "dcnv2": ("dcnv2", {"cross_layers": 2, "mlp": NORMED}),
    "dcnv2 stacked": ("dcnv2", {"cross_layers": 2, "mlp": MLP, "structure": "stacked"}),
    "dcnv2 of crosses alone": ("dcnv2", {"cross_layers": 2, "mlp": None}),
    "deepfm": ("deepfm", {"mlp": NORMED}),
    "dlrm": ("dlrm", {"bottom": [5], "top": NORMED}),
    "dlrm of vectors": ("dlrm", {"bottom": [5, 3], "top": MLP, "interaction": "cat"}),
    "dualmlp": ("dualmlp", {"mlp1": MLP, "mlp2": {"hidden": [5], "batch_norm": True}}),
    "fgcnn": ("fgcnn", {"generation": GENERATION, "classifier": {"name": "ipnn", "mlp": NORMED}}),
    "fgcnn of one embedding": (
        "fgcnn",
        {
            "generation": GENERATION | {"pool": 3, "batch_norm": False},
            "classifier": {"name": "deepfm", "mlp": MLP},
            "share_embedding": True,
        },
    ),
    "fgcnn that drops the last fields": (
        "fgcnn",
        {
            "generation": GENERATION | {"pooling": "floor"},
            "classifier": {"name": "autoint", "attention": {"layers": 1, "width": 4}, "wide": True},
        },
    ),
    "fgcnn below a gated ranker": (
        "fgcnn",
        {
            "generation": GENERATION,
            "classifier": {
                "name": "finalmlp",
                "mlp1": MLP,
                "mlp2": MLP,
                "gates": {"hidden": [3], "context1": ["item"]},
            },
        },
    ),
    "finalmlp": (
        "finalmlp",
        {
            "mlp1": NORMED,
            "mlp2": {"hidden": [8]},
            "gates": {"hidden": [5, 3], "context1": ["user", "age"], "context2": ["history"]},
            "heads": 2,
        },
    ),
    "finalmlp without contexts": ("finalmlp", {"mlp1": MLP, "mlp2": NORMED, "gates": {"hidden": [5]}, "heads": 4}),
    "finalmlp without gates": ("finalmlp", {"mlp1": MLP, "mlp2": MLP, "gates": None}),
    "finalnet": (
        "finalnet",
        {"block1": {"hidden": [6, 4], "dropout": 0.2}, "block2": {"hidden": [4]}, "field_gate": True},
    ),
    "finalnet of one block": (
        "finalnet",
        {"block1": {"hidden": [6, 4], "batch_norm": False, "activation": "none"}, "block2": None},
    ),
    "fm": ("fm", {}),
    "gdcn": ("gdcn", {"cross_layers": 2, "mlp": NORMED}),
    "gdcn stacked": ("gdcn", {"cross_layers": 2, "mlp": MLP, "structure": "stacked"}),
    "ipnn": ("ipnn", {"mlp": NORMED}),
    "lr": ("lr", {}),
    "masknet": ("masknet", {"blocks": 2, "block_width": 5, "mlp": NORMED}),
    "masknet of the benchmark": (
        "masknet",
        {"blocks": 2, "block_width": 5, "reduction": 0.5, "embedding_norm": False, "dropout": 0.2, "mlp": MLP},
    ),
    "masknet without norms": (
        "masknet",
        {"blocks": 2, "block_width": 5, "block_norm": False, "embedding_norm": False, "mlp": MLP},
    ),
    "masknet serial": ("masknet", {"structure": "serial", "blocks": 3, "block_width": 6}),
    "qnn": ("qnn", {"layers": 2, "rows": 3}),
    "qnn without norms": ("qnn", {"layers": 1, "rows": 2, "dropout": 0.0, "batch_norm": False}),
    "wide_deep": ("wide_deep", {"mlp": NORMED}),
    "xdeepfm": ("xdeepfm", {"maps": [3, 2], "mlp": NORMED}),
}
"""By what is special about it: the ranker's name, and its settings."""

# Kernels of the default width span more fields than small schemas have, and attention of the default width takes long.
SMALL_SETTINGS: dict[str, dict[str, Any]] = {
    "autoint": {"attention": {"width": 16}},
    "fgcnn": {"generation": GENERATION},
}

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    **VARIANTS,
    **{f"{name} by default": (name, SMALL_SETTINGS.get(name, {})) for name in names()},
}
"""The same, and every ranker of the folder by its defaults, as far as these are small."""
