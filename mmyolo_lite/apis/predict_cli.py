"""What command lines that predict share: their arguments, and what is built from them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmyolo_lite import startup
from mmyolo_lite.apis.cli import add_checkpoint_argument, add_config_arguments

if TYPE_CHECKING:
    from mmyolo_lite.apis.predict_files import Results
    from mmyolo_lite.apis.predictor import Predictor


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add config, checkpoint, and how to predict."""
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument(
        '--device', help='such as cpu or cuda:0 (default: the best that PyTorch finds)'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='keep objects above it (default: 0.3)'
    )
    parser.add_argument(
        '--class-name', nargs='+', default=[], metavar='NAME', help='keep these classes alone'
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, help='images that are predicted together (default: 1)'
    )
    parser.add_argument(
        '--deploy', action='store_true', help='fold batch norms into convolutions: a bit faster'
    )


def add_result_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is made of the predictions of images."""
    parser.add_argument('--out-dir', default='output', help='of pictures (default: output)')
    parser.add_argument('--show', action='store_true', help='show pictures in a window; q ends')
    parser.add_argument('--no-draw', action='store_true', help='write no pictures')
    parser.add_argument(
        '--to-labelme', action='store_true', help='write a labelme file for each image to --out-dir'
    )
    parser.add_argument(
        '--to-coco', metavar='F.json', help='write all predictions to one COCO data set'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace existing files of --to-labelme, --to-coco'
    )


def make_results(args: argparse.Namespace) -> 'Results':
    """Return what the options of :func:`add_result_arguments` ask for."""
    from mmyolo_lite.apis.predict_files import Results

    return Results(
        out_dir=Path(args.out_dir),
        draw=not args.no_draw,
        labelme=args.to_labelme,
        coco_file=Path(args.to_coco) if args.to_coco else None,
        show=args.show,
        overwrite=args.overwrite,
    )


def make_predictor(args: argparse.Namespace, keep_images: bool = False) -> 'Predictor':
    """Return the predictor that the options of :func:`add_model_arguments` describe."""
    from mmyolo_lite.apis.predictor import Predictor
    from mmyolo_lite.compat import cv2_logging
    from mmyolo_lite.engine.published import checkpoint_of

    # its own lines about damaged files: they are named on stderr once, in words
    cv2_logging.set_log_level(cv2_logging.SILENT)
    predictor = Predictor(
        args.config,
        checkpoint_of(args.config, args.checkpoint),
        args.device,
        score_thr=args.score_thr,
        batch_size=args.batch_size,
        class_names=args.class_name,
        keep_images=keep_images,
        deploy=args.deploy,
        options=args.cfg_options,
    )
    startup.settle()
    return predictor
