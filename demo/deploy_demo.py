"""Predict images or a video with an exported file: pictures with the objects, labelme, COCO."""

import argparse
from pathlib import Path

from mmyolo_lite import startup
from mmyolo_lite.apis import predict_cli
from mmyolo_lite.apis.cli import run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('input', help='image, folder (with its sub-folders), pattern, URL, video')
    parser.add_argument('model', help='exported file: .onnx, .xml, .torchscript, .engine')
    parser.add_argument('--device', help='cpu or cuda (default: the best there is)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='keep objects above it (default: 0.3)'
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, help='images that are predicted together (default: 1)'
    )
    parser.add_argument('--threads', type=int, help='of the CPU')
    parser.add_argument('--masks', action='store_true', help='refuse a file without masks')
    predict_cli.add_result_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Predict as the command line says."""
    args = parse_args()
    startup.pause_collection()
    from mmyolo_lite.apis.media import VIDEO_SUFFIXES
    from mmyolo_lite.deploy.runtime import Runtime, RuntimePredictor

    runtime = Runtime(
        args.model,
        args.device,
        score_thr=args.score_thr,
        batch_size=args.batch_size,
        threads=args.threads,
        needs_masks=args.masks,
    )
    if args.input.lower().endswith(VIDEO_SUFFIXES):
        from mmyolo_lite.apis.predict_video import Video, VideoResults, predict_video

        out = Path(args.out_dir, Path(args.input).stem + '.mp4')
        results = VideoResults(None if args.no_draw else out, args.show, 0.001)
        results.check(args.input)
        predict_video(Video(args.input), RuntimePredictor(runtime, keep_images=True), results)
        return
    from mmyolo_lite.apis import predict_files

    results = predict_cli.make_results(args)
    images = predict_files.images_of(args.input, results.out_dir)
    results.check(images)
    predictor = RuntimePredictor(runtime, keep_images=results.draw or results.show)
    predict_files.predict_images(images, predictor, results)


if __name__ == '__main__':
    run_cli(main)
