from __future__ import annotations

from django.db import migrations, models

# The column keeps its name, so that processes of the earlier release go on during an upgrade.
FIELD = models.PositiveBigIntegerField(default=0, db_column="listings")


class Migration(migrations.Migration):
    dependencies = [("quotes", "0009_listings")]

    operations = [
        migrations.AlterField("feedlease", "listings", FIELD),
        migrations.RenameField("feedlease", "listings", "changes"),
    ]
