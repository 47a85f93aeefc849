"""The site's addresses: the admin, and everything else is quotes."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from logins.views import login

urlpatterns = [
    path("admin/login/", login),  # before that of the admin
    path("admin/", admin.site.urls),
    path("", include("quotes.urls")),
]
