from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("quotes", "0007_plain_texts")]

    operations = [
        migrations.AddField(
            "feedlease", "deployment", models.CharField(blank=True, default="", max_length=64)
        ),
        migrations.AddField("feedlease", "batch", models.PositiveBigIntegerField(default=0)),
    ]
