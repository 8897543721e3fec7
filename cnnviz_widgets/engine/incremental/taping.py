"""Watch a forward pass, and stop it where a list of operations could not repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from cnnviz_widgets.engine.geometry.call import tensors_in
from cnnviz_widgets.engine.incremental.nature import Nature, is_quiet, nature
from cnnviz_widgets.engine.incremental.node import Node, Ref, outputs_of


class Refusal(BaseException):
    """Ends a pass that cannot be recorded; not an Exception, which a network may catch."""


class Recorder(TorchDispatchMode):
    """Writes down the operations that depend on `picture`; enter it inside `torch.inference_mode()`.

    An operation that writes in place is run as its form that returns something new, and the written tensor is then
    made to lie where that is: the old values stay what they were. Whatever else shares the old memory would have
    changed with it, so the pass is refused when it is read again.
    """

    def __init__(self, twin: nn.Module, picture: Tensor) -> None:
        """Nothing is recorded yet."""
        super().__init__()
        self.why_not = ""
        self.values: list[list[Tensor]] = []
        self._twin = twin
        self._calls: list[tuple[Nature, tuple[Any, ...], dict[str, Any]]] = []
        self._refs: dict[int, Ref] = {id(picture): Ref(-1)}
        self._alive = [picture]  # so that no id is given twice
        self._made: dict[int, Tensor] = {}  # constants that came out of an operation of this pass
        self._blank: dict[int, Tensor] = {}  # constants without values yet
        self._filled: dict[int, Tensor] = {}  # memory of constants that was written to in this pass
        self._lying: dict[int, list[int]] = {_memory(picture): [id(picture)]}  # memory -> what depends and lies there
        self._stale: dict[int, str] = {}  # what would have changed when another was written to, and by what
        self._overwritten: dict[int, str] = {}  # memory of constants that the picture was written to, and by what
        self._unwatched: list[Any] = []
        self._doubtful = False  # a constant among the arguments was made in this pass, who knows how

    def read(self, tensor: Tensor) -> Ref | None:
        """What `tensor` is now; None for a constant."""
        by = self._stale.get(id(tensor))
        if by is None and self._overwritten and id(tensor) not in self._refs:
            by = self._overwritten.get(_memory(tensor))
        if by is not None:
            self.refuse(f"{by} writes into memory that is read again through another tensor")
        return self._refs.get(id(tensor))

    def depends(self, tensor: object) -> bool:
        """True for a value that depends on the picture."""
        return id(tensor) in self._refs

    def refuse(self, why: str) -> NoReturn:
        """End the pass."""
        self.why_not = self.why_not or why
        raise Refusal(why)

    def nodes(self) -> tuple[Node, ...]:
        """What was recorded."""
        return tuple(
            Node(of.op, of.functional, args, kwargs, tuple(tuple(value.shape) for value in values))
            for (of, args, kwargs), values in zip(self._calls, self.values, strict=True)
        )

    def leave_alone(self, module: nn.Module) -> list[RemovableHandle]:
        """Let a module not notice that calls of torch are watched; torch's own, where no value leaves torch."""

        def begin(*_: Any) -> None:
            self._unwatched.append(torch._C.DisableTorchFunction())
            self._unwatched[-1].__enter__()

        def end(*_: Any) -> None:
            self._watch_again()

        return [module.register_forward_pre_hook(begin), module.register_forward_hook(end, always_call=True)]

    def _watch_again(self) -> None:
        if self._unwatched:
            self._unwatched.pop().__exit__(None, None, None)

    def __exit__(self, *error: Any) -> None:
        """Stop watching, wherever the pass has ended."""
        while self._unwatched:
            self._watch_again()
        super().__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation, and write it down when it depends on the picture."""
        kwargs = kwargs or {}
        of = nature(func)
        if self.why_not:  # the network caught the refusal
            return func(*args, **kwargs)
        if of.random and not is_quiet(func, args, kwargs):
            self.refuse(f"{of.name} draws random numbers")
        if of.fresh:
            return self._constant(of, func, args, kwargs)
        self._doubtful = False
        noted, depends = self._noted(args)
        noted_by_name = kwargs
        if kwargs:
            values, more = self._noted(kwargs.values())
            noted_by_name, depends = dict(zip(kwargs, values, strict=True)), depends or more
        if not depends:
            return self._constant(of, func, args, kwargs)
        self._check(of, types, args, noted, noted_by_name)
        if of.writes:
            return self._in_place(of, func, args, kwargs, noted, noted_by_name)
        result = func(*args, **kwargs)
        outputs = outputs_of(result)
        if len(outputs) == 1 and id(outputs[0]) in self._refs:  # handed on as it is: contiguous(), dropout in eval mode
            if of.name in ("resolve_conj", "resolve_neg"):
                self.refuse(f"the network reads values that depend on the picture in Python ({of.name})")
            return result
        if not outputs:
            if not of.metadata:
                self.refuse(f"the network reads values that depend on the picture in Python ({of.name})")
            return result
        self._record(of, noted, noted_by_name, outputs)
        return result

    def _noted(self, args: Iterable[Any]) -> tuple[tuple[Any, ...], bool]:
        """Arguments as a node has them, and whether there is a reference among them."""
        noted, depends, refs = [], False, self._refs
        watch = self._stale or self._overwritten
        for arg in args:
            if isinstance(arg, Tensor):
                ref = self.read(arg) if watch else refs.get(id(arg))
                if ref is not None:
                    arg, depends = ref, True
                elif arg.is_inference() and id(arg) not in self._made:
                    self._doubtful = True
            elif isinstance(arg, (list, tuple)) and arg and not isinstance(arg[0], int):
                items, more = self._noted(arg)
                arg, depends = list(items), depends or more
            noted.append(arg)
        return tuple(noted), depends

    def _record(self, of: Nature, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Tensor]) -> None:
        number = len(self._calls)
        kept = []
        for place, output in enumerate(outputs):
            if output.layout is not torch.strided or output.is_nested:
                self.refuse(f"{of.name} returns a tensor that is not dense")
            if id(output) in self._refs:  # handed on beside others
                output = output.detach()
            self._refs[id(output)] = Ref(number, place)
            self._lying.setdefault(_memory(output), []).append(id(output))
            kept.append(output)
        self._calls.append((of, args, kwargs))
        self.values.append(kept)

    def _check(self, of: Nature, types: Any, args: tuple[Any, ...], noted: tuple[Any, ...], by_name: Any) -> None:
        """Refuse what a node could not repeat."""
        if of.reads:
            self.refuse(f"the network reads values that depend on the picture in Python ({of.name})")
        for kind in types:
            if kind is not Tensor and kind is not nn.Parameter:
                self.refuse(f"{of.name} works on {kind.__name__}, a kind of tensor of its own")
        if of.sized and not (of.name == "index" and not any(map(self._is_mask, tensors_in(args[1:])))):
            self.refuse(f"the shape of what {of.name} returns depends on the picture")
        if of.name in ("batch_norm", "instance_norm") and args[3] is not None and args[5]:
            self.refuse(f"{of.name} changes its running statistics")
        if of.writes and (of.functional is None or of.relocates):
            self.refuse(f"{of.name} writes into a tensor in a way that is not followed")
        read = noted[1:] if of.name == "copy_" else noted
        if self._doubtful and not all(map(self._is_known, tensors_in((*read, *by_name.values())))):
            self.refuse(f"{of.name} reads a tensor whose values come from code that torch does not see")

    def _is_mask(self, index: Tensor) -> bool:
        return id(index) in self._refs and index.dtype in (torch.bool, torch.uint8)

    # -- constants

    def _constant(self, of: Nature, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation that does not depend on the picture."""
        given = [] if of.fresh else tensors_in((*args, *kwargs.values()))
        if of.writes:
            for tensor in given[:1] if of.functional is not None else given:
                self.changes_constant(of.name, tensor)
                self._filled[_memory(tensor)] = tensor
        result = func(*args, **kwargs)
        known = not of.blank and (of.name == "lift_fresh" or all(map(self._is_known, given)))
        for output in outputs_of(result):
            (self._made if known else self._blank)[id(output)] = output
        return result

    def changes_constant(self, name: str, tensor: Tensor) -> None:
        """Refuse to change a constant that a recorded operation has used as it was."""
        memory = _memory(tensor)
        for _, args, kwargs in self._calls:
            if any(_memory(constant) == memory for constant in tensors_in((*args, *kwargs.values()))):
                self.refuse(f"{name} changes a constant that was used before")

    def _is_known(self, constant: Tensor) -> bool:
        """True for what was there before the pass or came out of an operation of it: not made by unseen code."""
        return (
            id(constant) in self._made
            or not constant.is_inference()
            or _memory(constant) in self._filled
            or any(constant is own for own in _tensors_of(self._twin, set()))
        )

    def _is_own(self, constant: Tensor) -> bool:
        """True for what the network may write to without anybody else noticing."""
        return (
            id(constant) in self._made
            or id(constant) in self._blank
            or any(constant is own for own in _tensors_of(self._twin, set()))
        )

    # -- writing in place

    def _in_place(
        self,
        of: Nature,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        noted: tuple[Any, ...],
        noted_by_name: dict[str, Any],
    ) -> Tensor:
        target = args[0]
        ref = self._refs.get(id(target))
        memory = _memory(target)
        if ref is None:
            self.changes_constant(of.name, target)
            if not self._is_own(target):
                self.refuse(f"{of.name} writes into a tensor that is not the network's own")
        result = of.functional(*args, **kwargs)
        if result is target:
            return target
        before = target.detach()
        self._move(of, func, args, kwargs, result)
        if ref is None:
            self._made[id(before)] = before
            noted = (before, *noted[1:])
        elif ref.node >= 0 and self.values[ref.node][ref.output] is target:
            self.values[ref.node][ref.output] = before
        moved = _memory(result)
        if moved != memory:
            self._stale.update((other, of.name) for other in self._lying.get(memory, ()) if other != id(target))
            if ref is None:
                self._overwritten[memory] = of.name
        self._alive += (target, before)
        self._record(of, noted, noted_by_name, [result])
        self._refs[id(target)] = Ref(len(self._calls) - 1)
        self._lying[moved].append(id(target))
        return target

    def _move(self, of: Nature, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor) -> None:
        """Let the written tensor lie where the result is."""
        target = args[0]
        view = torch.Tag.inplace_view in func.tags  # squeeze_(): changes the shape, writes nothing
        if not view and (result.shape != target.shape or result.dtype != target.dtype or 0 in target.stride()):
            func(*args, **kwargs)  # may well be an error
            self.refuse(f"{of.name} keeps the type or the shape of what it writes to, {of.op} would not")
        target.set_(result)


def _memory(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():  # else `Unseen` would take it for the network's doing
        return tensor.untyped_storage()._cdata


def _tensors_of(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """The tensors that a module holds, also in lists, dictionaries and modules of its."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (nn.Module, dict, list, tuple)) and id(value) not in seen:
        seen.add(id(value))
        held = vars(value) if isinstance(value, nn.Module) else value
        for item in held.values() if isinstance(held, dict) else held:
            yield from _tensors_of(item, seen)
