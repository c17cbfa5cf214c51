from typing import Any

from django import forms

from apps.experiments.models import Experiment
from apps.schedules.models import Schedule
from engine.errors import BadInput


class ScheduleForm(forms.Form):
    """Takes what was written; `services.save_schedule` judges it."""

    experiment = forms.ModelChoiceField(
        Experiment.objects.none(), empty_label="choose an experiment",
        error_messages={"required": "is missing: which experiment is to be started?"},
    )  # fmt: skip
    cron = forms.CharField(
        label="When", max_length=100, help_text="Five fields: minute, hour, day of the month, month, day of the week.",
        error_messages={"required": "is missing; write it like 30 2 * * 1-5"},
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "placeholder": "30 2 * * 1-5"}),
    )  # fmt: skip
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
        error_messages={"required": "is missing; UTC will do"},
    )
    catch_up = forms.ChoiceField(
        label="If the board was off", choices=Schedule.CatchUp.choices, initial="skip", required=False
    )
    enabled = forms.BooleanField(required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, label_suffix="", **kwargs)
        self.fields["experiment"].queryset = Experiment.objects.filter(archived=False)

    def values(self) -> dict[str, Any]:
        data = dict(self.cleaned_data)
        data["catch_up"] = data["catch_up"] or Schedule.CatchUp.SKIP.value
        return data

    def add_problems(self, error: BadInput) -> None:
        for problem in error.problems:
            self.add_error(problem.where if problem.where in self.fields else None, problem.message)
