"""Learning rates that follow the total batch size."""

from mmengine.config import Config

from mmyolo_lite.errors import ConfigError


def enable_auto_scale_lr(config: Config) -> None:
    """Have the learning rate multiplied by total batch size / ``auto_scale_lr.base_batch_size``.

    The total is the number of processes times ``train_dataloader.batch_size``.

    Raises:
        ConfigError: the config does not say what batch size its learning rate is meant for.
    """
    given = config.get('auto_scale_lr')
    base = given.get('base_batch_size') if isinstance(given, dict) else None
    if isinstance(base, bool) or not isinstance(base, int) or base < 1:
        raise ConfigError(
            f'--auto-scale-lr needs auto_scale_lr.base_batch_size, and the config has {base!r}. '
            'Give the total batch size that the learning rate is meant for, such as '
            'auto_scale_lr=dict(base_batch_size=128).'
        )
    config.auto_scale_lr.enable = True
