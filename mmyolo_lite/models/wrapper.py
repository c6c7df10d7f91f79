"""The wrapper of models for data-parallel training."""

from typing import Any

from mmengine.model import MMDistributedDataParallel as _Base
from torch import nn

from mmyolo_lite.models.sync_norm import sync_norms_on_cpu
from mmyolo_lite.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class MMDistributedDataParallel(_Base):
    """mmengine's wrapper, which takes synchronised batch norms on CPUs too.

    Args:
        module: the model, on its device.
        kwargs: those of :class:`torch.nn.parallel.DistributedDataParallel`.
    """

    def __init__(self, module: nn.Module, **kwargs: Any) -> None:
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            sync_norms_on_cpu(module)
        super().__init__(module=module, **kwargs)
