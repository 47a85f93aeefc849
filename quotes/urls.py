"""The URLs of the pages, to include in those of a site."""

from __future__ import annotations

from django.conf import settings
from django.db.transaction import non_atomic_requests
from django.urls import path

from quotes import views
from quotes.htmx.scripts import script

app_name = "quotes"
urlpatterns = [
    path("", views.index, name="index"),
    path("boards/<slug:slug>/", views.board, name="board"),
    path("symbols/<path:code>/bars.csv", views.bars, name="bars"),
    path("symbols/<path:code>/", views.symbol, name="symbol"),
    path("search/", views.search, name="search"),
    path("search/suggestions/", views.suggestions, name="suggestions"),
    path("live/", views.live_again, name="live"),
    path("embed/quotes/", views.embed, name="embed"),
    path("scripts/<str:digest>/<str:name>", script, name="script"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
]

# Django refuses async views in a site with ATOMIC_REQUESTS, and these only read.
for pattern in urlpatterns:
    for database in settings.DATABASES:
        non_atomic_requests(using=database)(pattern.callback)
