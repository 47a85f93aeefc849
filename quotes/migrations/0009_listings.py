from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("quotes", "0008_deployment")]

    operations = [
        migrations.AddField("feedlease", "listings", models.PositiveBigIntegerField(default=0)),
    ]
