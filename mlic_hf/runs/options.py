"""The settings of a run that are not the trainer's: method, data, models."""

from __future__ import annotations

from dataclasses import dataclass, field

MODEL_CLASSES = {  # by the name of the setting; here, so that --help needs no torch
    "linear": "LinearForImageClassification",
    "ml_decoder": "MLDecoderForImageClassification",
    "query2label": "Query2LabelForImageClassification",
    "label_transformer": "LabelTransformerForImageClassification",
    "mulcon": "MulConForImageClassification",
    "co_occurrence": "CoOccurrenceForImageClassification",
    "text_decoder": "TextDecoderForImageClassification",
}


@dataclass
class RunOptions:
    """What is trained, how, and on what."""

    config: str | None = field(default=None, metadata={"help": "a recipe (YAML); flags override it"})
    method: str = field(default="supervised", metadata={"help": "supervised, psd, l2d, mulcon, co_occurrence or oass"})
    extra_losses: dict = field(
        default_factory=dict,
        metadata={"help": 'losses of other methods and their weights, e.g. {"mulcon.contrast": 0.5}'},
    )
    overwrite: bool = field(default=False, metadata={"help": "start anew in an output_dir that holds a run"})
    resume: str | None = field(default=None, metadata={"help": "a checkpoint folder to continue from"})
    traceback: bool = field(default=False, metadata={"help": "show the traceback of an error"})
    push_to: str | None = field(default=None, metadata={"help": "Hub repository the result is pushed to"})

    # Data
    dataset: str = field(
        default="digit_scenes",
        metadata={"help": "digit_scenes, coco, voc, nus_wide, visual_genome, a folder, a table or hub:owner/name"},
    )
    data_dir: str | None = field(default=None, metadata={"help": "where the data set lies"})
    data_options: dict = field(default_factory=dict, metadata={"help": 'options of its builder, e.g. {"year": 2007}'})
    folds: int | None = field(
        default=None, metadata={"help": "cut the training split in so many folds, of which one is left out"}
    )
    fold: int | None = field(default=None, metadata={"help": "the fold that is left out, from 0"})
    train_split: str = field(default="train", metadata={"help": "split that is trained on"})
    eval_split: str = field(default="validation", metadata={"help": "split that chooses the best checkpoint"})
    test_split: str | None = field(default="test", metadata={"help": "split that is only reported; null for none"})
    streaming: bool = field(
        default=False, metadata={"help": "read parquet or tar shards, or a Hub data set, without a copy of them"}
    )
    shuffle_buffer: int = field(
        default=1000, metadata={"help": "streaming: images in memory from which the next one is drawn"}
    )
    cache_images: bool = field(default=False, metadata={"help": "keep decoded images in memory"})
    transform: str = field(default="l2d", metadata={"help": "a paper's training pipeline, by its name"})
    transform_options: dict = field(
        default_factory=dict, metadata={"help": 'changes to it, e.g. {"cutout": 0.25, "hflip": true}'}
    )

    # The model that is trained
    architecture: str = field(default="linear", metadata={"help": f"one of {', '.join(MODEL_CLASSES)}"})
    backbone: str = field(
        default="resnet18",
        metadata={"help": "a timm name, or a vision encoder of transformers: owner/name or a folder"},
    )
    pretrained: str = field(
        default="true",
        metadata={"help": "true (the backbone's own weights), false, or a safetensors file of a timm backbone"},
    )
    init_from: str | None = field(
        default=None, metadata={"help": "a saved model whose weights the student starts from; labels are kept by name"}
    )
    image_size: int = field(default=224, metadata={"help": "side of the square input in pixels"})
    normalization: str = field(
        default="backbone", metadata={"help": "backbone (its own mean and std) or none (plain [0, 1] values)"}
    )
    model_options: dict = field(
        default_factory=dict, metadata={"help": 'further fields of its config, e.g. {"hidden_size": 256}'}
    )

    # Heads on a frozen backbone
    feature_views: int = field(
        default=0,
        metadata={
            "help": "train the head alone, on feature maps of the frozen backbone, computed once for so many draws "
            "of each image; 0 for the whole network on pixels"
        },
    )
    feature_folder: str | None = field(
        default=None, metadata={"help": "where feature maps are kept; null for a folder in output_dir"}
    )

    # Teachers and what they are compared with
    teacher: str | None = field(
        default=None,
        metadata={
            "help": "a saved teacher: a model of this library, a classifier or dual encoder of transformers, an ONNX "
            "file; trained first when null"
        },
    )
    teacher_labels: dict = field(
        default_factory=dict, metadata={"help": 'the data\'s names of its labels, where they differ: {"tabby": "cat"}'}
    )
    teacher_options: dict = field(
        default_factory=dict,
        metadata={"help": 'how its answers are read, e.g. {"partial": true, "merge": "max", "template": "a {}"}'},
    )
    teacher_run: dict = field(
        default_factory=dict, metadata={"help": "the settings of the teacher's own training that differ"}
    )
    partition: str | None = field(
        default=None, metadata={"help": "train.py: a partition.json of which one part's labels are trained"}
    )
    part: int | None = field(default=None, metadata={"help": "train.py: the number of that part, from 0"})
    teachers: str | None = field(
        default=None, metadata={"help": "psd: the folder of the parts' teachers; made first when null"}
    )
    teacher_cache: str | None = field(
        default=None, metadata={"help": "a folder of `mlic cache`: its answers teach, and no teacher is loaded"}
    )
    unlabelled: str | None = field(
        default=None,
        metadata={"help": "pictures that the teacher alone speaks of: a folder, or split:NAME of the data set"},
    )
    unlabelled_ratio: float = field(default=1.0, metadata={"help": "how many of them an epoch shows a labelled one"})
    teacher_half: bool = field(default=False, metadata={"help": "teachers in half precision"})
    student_alone: bool = field(
        default=False, metadata={"help": "also train the student without the method, for the same steps"}
    )
    alone_run: dict = field(default_factory=dict, metadata={"help": "the settings of that training that differ"})

    def __post_init__(self) -> None:
        if self.architecture not in MODEL_CLASSES:
            raise ValueError(f"architecture is {self.architecture!r}; it is one of {', '.join(MODEL_CLASSES)}.")
        if (self.partition is None) != (self.part is None):
            raise ValueError("partition and part go together: the file, and the number of one of its parts.")
        if (self.folds is None) != (self.fold is None):
            raise ValueError("folds and fold go together: how many there are, and the one that is left out.")
        if self.streaming and self.folds is not None:
            raise ValueError("folds picks images of a split, which cannot be done in a stream: leave streaming out.")
        if self.streaming and self.cache_images:
            raise ValueError(
                "cache_images keeps every image in memory and streaming none of them: set one of the two."
            )
        if self.feature_views < 0:
            raise ValueError(f"feature_views is {self.feature_views}; it is a number of draws, or 0.")
        if self.normalization not in ("backbone", "none"):
            raise ValueError(f"normalization is {self.normalization!r}; it is backbone or none.")
