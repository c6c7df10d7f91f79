"""Predict a video or a camera: a video with the objects, a window, or both."""

import argparse
from pathlib import Path

from mmyolo_lite import startup
from mmyolo_lite.apis import predict_cli
from mmyolo_lite.apis.cli import parse_with_checkpoint, run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('video', help='path of a video, or number of a camera, such as 0')
    predict_cli.add_model_arguments(parser)
    parser.add_argument('--out', metavar='F.mp4', help='write the frames with objects to this')
    parser.add_argument('--show', action='store_true', help='show frames in a window; q ends')
    parser.add_argument(
        '--wait-time', type=float, default=0.001, help='seconds that a frame stays (default: 0.001)'
    )
    return parse_with_checkpoint(parser)


def main() -> None:
    """Predict as the command line says."""
    args = parse_args()
    startup.pause_collection()
    from mmyolo_lite.apis.predict_video import Video, VideoResults, predict_video

    results = VideoResults(Path(args.out) if args.out else None, args.show, args.wait_time)
    results.check(args.video)
    video = Video(args.video)
    predict_video(video, predict_cli.make_predictor(args, keep_images=True), results)


if __name__ == '__main__':
    run_cli(main)
