from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("logins", "0001_initial")]

    operations = [migrations.RenameModel("Attempts", "FailedLogins")]
