"""The figures and the kinds of faults of the runs that were there before."""

from django.db import migrations

from apps.runs import figures
from engine.errors import BadInput
from engine.experiment import Experiment


def fill(apps, schema_editor):
    Run, Figures, Label = (apps.get_model("runs", name) for name in ("Run", "Figures", "Label"))
    for run in Run.objects.select_related("version").iterator(100):
        if run.result:
            Figures.objects.create(run_id=run.pk, **figures.measured(run, run.result))
        try:
            kinds = sorted({step.kind for step in Experiment.from_dict(run.version.document).faults})
        except BadInput:
            continue
        Label.objects.bulk_create([Label(run=run, sort="fault", name=kind) for kind in kinds])


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_review"), ("experiments", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
