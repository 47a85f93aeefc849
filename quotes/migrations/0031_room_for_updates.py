from django.db import migrations

# Percent of a page that inserted rows fill. PostgreSQL writes an updated row anew, and beside the
# old one if there is room: then no index changes, and the old row is removed without a VACUUM.
FILL = {"quotes_lastquote": 50, "quotes_candle": 70}


def leave_room(apps, schema_editor):
    """Leave room for updates in the tables that the feed writes every second."""
    if schema_editor.connection.vendor == "postgresql":
        for table, percent in FILL.items():
            schema_editor.execute(f"ALTER TABLE {table} SET (fillfactor = {percent})")


def fill(apps, schema_editor):
    """Fill pages as PostgreSQL usually does."""
    if schema_editor.connection.vendor == "postgresql":
        for table in FILL:
            schema_editor.execute(f"ALTER TABLE {table} RESET (fillfactor)")


class Migration(migrations.Migration):

    dependencies = [
        ("quotes", "0030_places"),
    ]

    operations = [migrations.RunPython(leave_room, fill)]
