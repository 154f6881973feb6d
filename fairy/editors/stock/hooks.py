"""Where a stock pipeline is, and the way into its attention, without changing its code.

Hooks of the attention modules tell the layer, a hook of the denoiser the call (guidance branch),
and `scheduler.step` the step. For the time of `hooked`, the name by which an attention processor
calls attention points to us: `dispatch_attention_fn` of its module, or that module's `F`. Threads
without a run, layers without a hook and all other models pass to the original, so several edits
and other uses of the same model can go on beside each other.
Tests: tests/editors/stock/test_hooks.py.
"""

from __future__ import annotations

import copy
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from fairy.editors.stock.families import Family
from fairy.editors.stock.strands import pause

# Names of the attention modules in which the generated tokens meet each other
LAYER_NAMES = {"attn", "attn1", "self_attn"}
# The area to which some pipelines bring every picture (their function `calculate_dimensions`)
OWN_AREA = 1024 * 1024

_F = TypeVar("_F", bound=Callable[..., Any])


def _not_compiled(function: _F) -> _F:
    """Keep torch.compile out: what is computed depends on the run, not on the tensors alone."""
    return cast("_F", torch.compiler.disable(function))


StockAttention = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""(q, k, v (B,N,H,D), mask) -> (B,N,H,D), as the pipeline would have computed it."""


class Sharing(Protocol):
    """What attention does in a run: `fairy.editors.stock.sharing`."""

    def attend(
        self,
        run: Run,
        stock: StockAttention,
        qkv: tuple[Tensor, Tensor, Tensor],
        mask: Tensor | None,
        scale: float | None,
    ) -> Tensor:
        """Return the attention of a layer, (B,N,H,D)."""

    def begin_step(self, run: Run) -> None:
        """A run comes to a step."""


@dataclass
class Run:
    """One call of the stock pipeline, in one thread: where it is.

    Attributes:
        role: "stock" (hooks do nothing), "anchor" or "frame".
        size: (height, width) of its pictures.
        numbers: which anchors its rows are, for the role "anchor".
        num_frames: pictures in the call: its rows are groups of so many.
        sharing: what attention does.
        step: the current step.
        branch: calls of the denoiser since the step began, less one.
        layer: name of the attention module that is running.
        num_text: tokens of the text in the current call.
        num_rows: guidance branches so far: rows of a step, for each picture.
        before_denoising: called once, when the denoiser is called for the first time.
    """

    role: str
    size: tuple[int, int]
    sharing: Sharing | None = None
    numbers: tuple[int, ...] = ()
    num_frames: int = 1
    step: int = 0
    branch: int = -1
    layer: str | None = None
    num_text: int = 0
    num_rows: int = 0
    before_denoising: Callable[[], None] | None = None
    _calls: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The guidance branch, the layer and which of its attention calls it is."""
        assert self.layer is not None
        return f"{self.branch}.{self._calls[self.layer]}.{self.layer}"

    def begin_branch(self, arguments: dict[str, Any], num_rows: int) -> None:
        """The denoiser is called."""
        if self.before_denoising is not None:
            self.before_denoising()
            self.before_denoising = None
        self.branch += 1
        self.num_text = 0
        if (text := arguments.get("encoder_hidden_states")) is not None:
            self.num_text = text.shape[1]
        if self.step == 0:
            self.num_rows += num_rows // self.num_frames
        if self.branch == 0 and self.sharing is not None:
            self.sharing.begin_step(self)
        self._calls = {}

    def end_step(self) -> None:
        """The scheduler has made its step."""
        self.step, self.branch = self.step + 1, -1
        pause("step")

    def attend(
        self,
        stock: StockAttention,
        qkv: tuple[Tensor, Tensor, Tensor],
        mask: Tensor | None,
        scale: float | None,
    ) -> Tensor:
        """Return the attention of the current layer, (B,N,H,D)."""
        assert self.layer is not None
        self._calls[self.layer] = self._calls.get(self.layer, -1) + 1
        if self.sharing is None:
            return stock(*qkv, mask)
        return self.sharing.attend(self, stock, qkv, mask, scale)


_here = threading.local()


def current() -> Run | None:
    """Return the run that this thread is in."""
    return getattr(_here, "run", None)


@contextmanager
def running(run: Run) -> Iterator[Run]:
    """Have this thread be in `run` inside the block."""
    before, _here.run = current(), run
    try:
        yield run
    finally:
        _here.run = before


def attention_layers(denoiser: nn.Module) -> dict[str, nn.Module]:
    """Return the attention modules that anchors take part in, by name."""
    return {
        name: module
        for name, module in denoiser.named_modules()
        if name.rpartition(".")[2] in LAYER_NAMES and hasattr(module, "processor")
    }


def counted_scheduler(scheduler: Any, run: Run) -> Any:
    """Return a copy of a scheduler that tells `run` of its steps."""
    made = copy.deepcopy(scheduler)
    step = made.step

    @functools.wraps(step)
    def counted(*args: Any, **kwargs: Any) -> Any:
        out = step(*args, **kwargs)
        run.end_step()
        return out

    made.step = counted
    return made


@contextmanager
def hooked(denoiser: nn.Module, family: Family) -> Iterator[None]:
    """Let runs hear of the denoiser's calls and layers, and answer its attention; then restore."""
    layers = attention_layers(denoiser)
    with ExitStack() as stack:
        stack.enter_context(denoiser.register_forward_pre_hook(_note_branch, with_kwargs=True))
        for name, layer in layers.items():
            stack.enter_context(layer.register_forward_pre_hook(_enter(name)))
            stack.enter_context(layer.register_forward_hook(_leave, always_call=True))
        for module in {type(layer.processor).__module__ for layer in layers.values()}:
            stack.enter_context(_attention_of(sys.modules[module]))
        if family.resizes:
            pipelines = importlib.import_module(f"diffusers.pipelines.{family.resizes}")
            stack.enter_context(_replaced(pipelines, "calculate_dimensions", _at_own_size))
        yield


@_not_compiled
def _note_branch(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    run = current()
    if run is not None:
        # A UNet calls its input sample
        rows: Any = args[0] if args else kwargs.get("hidden_states", kwargs.get("sample"))
        run.begin_branch(kwargs, rows.shape[0])


def _enter(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    @_not_compiled
    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        run = current()
        if run is not None:
            run.layer = name

    return enter


@_not_compiled
def _leave(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
    run = current()
    if run is not None:
        run.layer = None


def _active() -> Run | None:
    """Return this thread's run if it is in an attention layer."""
    run = current()
    return run if run is not None and run.layer is not None else None


def _dispatch(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return diffusers' `dispatch_attention_fn` (B,N,H,D) with our attention in active runs."""

    @_not_compiled
    @functools.wraps(original)
    def dispatch(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        run = _active()
        if run is None:
            return original(query, key, value, attn_mask=attn_mask, **kwargs)

        def stock(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
            return original(q, k, v, attn_mask=mask, **kwargs)

        return run.attend(stock, (query, key, value), attn_mask, kwargs.get("scale"))

    return dispatch


class _Functional(ModuleType):
    """torch.nn.functional whose scaled dot-product attention (B,H,N,D) is ours in active runs."""

    def __init__(self, original: Any) -> None:
        super().__init__(original.__name__)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    @_not_compiled
    def scaled_dot_product_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        original: Callable[..., Tensor] = self._original.scaled_dot_product_attention
        run = _active()
        if run is None:
            return original(query, key, value, attn_mask=attn_mask, **kwargs)

        def stock(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
            rows = (row.transpose(1, 2) for row in (q, k, v))
            return original(*rows, attn_mask=mask, **kwargs).transpose(1, 2)

        rows = (query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
        return run.attend(stock, rows, attn_mask, kwargs.get("scale")).transpose(1, 2)


def _at_own_size(original: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Return a pipeline's `calculate_dimensions`, which answers the run's size for pictures."""

    @functools.wraps(original)
    def dimensions(target_area: int, ratio: float) -> tuple[Any, ...]:
        out, run = original(target_area, ratio), current()
        if run is None or target_area != OWN_AREA:
            return out
        height, width = run.size
        if abs(ratio * height / width - 1) > 0.01:
            # A reference picture keeps its shape, at a frame's area
            return original(height * width, ratio)
        return (width, height, *out[2:])

    return dimensions


def _attention_of(module: ModuleType) -> Any:
    if hasattr(module, "dispatch_attention_fn"):
        return _replaced(module, "dispatch_attention_fn", _dispatch)
    return _replaced(module, "F", _Functional)


_guard = threading.Lock()
_uses: dict[tuple[str, str], tuple[int, Any]] = {}


@contextmanager
def _replaced(module: ModuleType, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Replace a name of a module by `make` of its value until the last of its users has left."""
    key = (module.__name__, name)
    with _guard:
        count, original = _uses.get(key, (0, getattr(module, name)))
        if count == 0:
            setattr(module, name, make(original))
        _uses[key] = (count + 1, original)
    try:
        yield
    finally:
        with _guard:
            count, original = _uses.pop(key)
            if count == 1:
                setattr(module, name, original)
            else:
                _uses[key] = (count - 1, original)
