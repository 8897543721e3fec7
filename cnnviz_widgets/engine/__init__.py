"""The network kept live: runs that leave it as it is, what is inside it, gradients under rules, background jobs."""

from cnnviz_widgets.engine.backward import NoRuleError
from cnnviz_widgets.engine.capture import Run
from cnnviz_widgets.engine.climber import Climber
from cnnviz_widgets.engine.core import Engine, Gradients
from cnnviz_widgets.engine.jobs import Cancelled, Job, Worker, checkpoint, current_job, steps
from cnnviz_widgets.engine.layers import Layer, Layers, ReceptiveField
from cnnviz_widgets.engine.observer import Observer, penultimate
from cnnviz_widgets.engine.targets import Objective, Score, Target

__all__ = [
    "Cancelled",
    "Climber",
    "Engine",
    "Gradients",
    "Job",
    "Layer",
    "Layers",
    "NoRuleError",
    "Objective",
    "Observer",
    "ReceptiveField",
    "Run",
    "Score",
    "Target",
    "Worker",
    "checkpoint",
    "current_job",
    "penultimate",
    "steps",
]
