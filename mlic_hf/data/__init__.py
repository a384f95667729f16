"""Label spaces, datasets, transforms and counts: everything between a data set's rows and a batch."""

from __future__ import annotations

from mlic_hf.data.adapted_rows import AdaptedRows, AdaptedStream, label_lists, without_images
from mlic_hf.data.adapter import adapt, adapt_splits
from mlic_hf.data.class_weights import class_weights
from mlic_hf.data.co_occurrence_counts import co_occurrence_counts
from mlic_hf.data.collate import collate
from mlic_hf.data.epoch_sampler import EpochSampler
from mlic_hf.data.feature_maps import FeatureMaps, compute_feature_maps
from mlic_hf.data.image_transform import ImageTransform, build_transform, describe_transform
from mlic_hf.data.imperfect_labels import drop_positives, keep_one_positive, mark_unlisted
from mlic_hf.data.inspect_dataset import inspect_dataset
from mlic_hf.data.label_matrix import label_matrix
from mlic_hf.data.label_space import LabelSpace
from mlic_hf.data.mixup import mixup
from mlic_hf.data.multi_label_dataset import MultiLabelDataset
from mlic_hf.data.multi_label_stream import MultiLabelStream, examples_of
from mlic_hf.data.repeat_factors import repeat_factors, repeated_order
from mlic_hf.data.sharded_rows import ShardedRows, as_stream, is_stream
from mlic_hf.data.stateless_random import stateless_generator
from mlic_hf.data.stratified_split import stratified_split
from mlic_hf.data.stream_order import StreamedRow, StreamOrder
from mlic_hf.data.transform_config import PRESETS, TransformConfig, transform_preset
from mlic_hf.data.view_of_epoch import view_of_epoch
from mlic_hf.data.with_unlabelled import Unlabelled, WithUnlabelled, pictures_of
from mlic_hf.pictures.image_reading import read_image

__all__ = [
    "PRESETS",
    "AdaptedRows",
    "AdaptedStream",
    "EpochSampler",
    "FeatureMaps",
    "ImageTransform",
    "LabelSpace",
    "MultiLabelDataset",
    "MultiLabelStream",
    "ShardedRows",
    "StreamOrder",
    "StreamedRow",
    "TransformConfig",
    "Unlabelled",
    "WithUnlabelled",
    "adapt",
    "adapt_splits",
    "as_stream",
    "build_transform",
    "class_weights",
    "co_occurrence_counts",
    "collate",
    "compute_feature_maps",
    "describe_transform",
    "drop_positives",
    "examples_of",
    "inspect_dataset",
    "is_stream",
    "keep_one_positive",
    "label_lists",
    "label_matrix",
    "mark_unlisted",
    "mixup",
    "pictures_of",
    "read_image",
    "repeat_factors",
    "repeated_order",
    "stateless_generator",
    "stratified_split",
    "transform_preset",
    "view_of_epoch",
    "without_images",
]
