"""Layers are found by their names alone, and nothing is evaluated."""

import pytest
import torch
from torch import nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.visualization import layers
from tests.models import tiny


@pytest.fixture(scope='module')
def network():
    return tiny.detector('ins').eval()


@pytest.mark.parametrize(
    ('name', 'pytorch_name'),
    [
        ('backbone', 'backbone'),
        ('neck.out_layers[2]', 'neck.out_layers.2'),
        ('neck.out_layers[-1]', 'neck.out_layers.2'),
        ('neck.out_layers.2', 'neck.out_layers.2'),
        ('backbone.stage2[1].main_conv.conv', 'backbone.stage2.1.main_conv.conv'),
    ],
)
def test_found(network, name, pytorch_name):
    assert layers.find_layer(network, name) is network.get_submodule(pytorch_name)


def test_every_module_is_found_by_its_bracket_name(network):
    for dotted, module in network.named_modules():
        if dotted:
            assert layers.find_layer(network, layers.bracket_name(dotted)) is module


def test_wrong_name_lists_the_nearest(network):
    with pytest.raises(
        ConfigError, match=r"'neck.out_layer\[2\]'.*nearest: .*neck.out_layers\[2\]"
    ):
        layers.find_layer(network, 'neck.out_layer[2]')
    with pytest.raises(ConfigError, match=r'nearest: .*neck.out_layers\[2\]'):
        layers.find_layer(network, 'neck.out_layers[3]')


@pytest.mark.parametrize(
    'name',
    [
        '',
        ' ',
        '.neck',
        '[0]',
        'neck..out_layers',
        'neck.out_layers[',
        'neck.out_layers[x]',
        'neck.out_layers[1+1]',
        'neck.out_layers[99999999999999]',
        'neck.forward',
        'neck.__class__',
        'neck._modules',
        "__import__('os').system('true')",
    ],
)
def test_no_name_of_a_layer(network, name):
    with pytest.raises(ConfigError):
        layers.find_layer(network, name)


def test_recorded_outputs_are_copies():
    """An activation in place does not reach back."""
    network = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    x = torch.full((1, 2, 3, 3), -1.0)
    with layers.recorded_outputs({'0': network[0], '1': network[1]}) as found:
        network(x)
    assert (found['0'][0] == -1).all() and (found['1'][0] == 0).all()
    assert not network[0]._forward_hooks


def test_layers_without_maps(network):
    wanted = layers.find_layers(network, ['neck.out_layers', 'neck'])
    with layers.recorded_outputs(wanted) as found, torch.no_grad():
        network.extract_feat(tiny.images(1).float())
    assert len(found['neck']) == 3
    with pytest.raises(ConfigError, match=r'ModuleList.*neck.out_layers\[0\]'):
        layers.require_maps(wanted, found)
    with pytest.raises(ConfigError, match='gives 3 maps'):
        layers.require_one_map({'neck': network.neck}, found)
