"""The table of all commands, by which `hotslot --help` needs none of their modules."""

from __future__ import annotations

COMMANDS = {
    "serve": (
        "app.cli.serve:serve",
        "Serve the HTTP API and the map, with a local worker; restart processes that die.",
    ),
    "worker": (
        "app.cli.worker:worker",
        "Run trainings, backtests, syncs and maintenance from the queue.",
    ),
    "migrate": ("app.cli.serve:migrate_command", "Bring the database's schema up to date."),
    "ingest": (
        "app.cli.incidents:ingest",
        "Read incidents from files; reading a file again adds nothing.",
    ),
    "sync": (
        "app.cli.sync:sync",
        "Read new and edited incidents from a region's sources, in this process.",
    ),
    "data-report": (
        "app.cli.data_quality:report",
        "Report on a region's data: accepted, repeated, rejected, suspicious times and places.",
    ),
    "train": ("app.cli.training:train", "Train a model in this process and register it."),
    "assimilate": (
        "app.cli.training:bring_up_to_date",
        "Bring a region's forecasts up to date with what has arrived, without training.",
    ),
    "schedule": (
        "app.cli.monitoring:schedule",
        "Show or set a region's schedule of trainings.",
    ),
    "models": (
        "app.cli.monitoring:models",
        "List a region's versions, promote one, or roll back to the previous champion.",
    ),
    "status": (
        "app.cli.monitoring:status",
        "Show regions, champions, queue, workers and alarms.",
    ),
    "doctor": (
        "app.cli.doctor:doctor",
        "Say what is wrong with this installation, and what to do; status 1: warnings, 2: errors.",
    ),
    "forecast": (
        "app.cli.forecasts:forecast",
        "Forecast one slot; the suffix of the output sets the format of a density.",
    ),
    "briefing": (
        "app.cli.briefing:briefing",
        "Write where to go in a shift: zones, when each matters, how sure; one page, or for a map.",
    ),
    "backtest": (
        "app.cli.evaluation.backtests:backtest",
        "Compare models: train on the time before each origin, score the days after it.",
    ),
    "worth": (
        "app.cli.evaluation.worth:worth",
        "Say what the forecast is worth over last year's list, and what of it is the hour.",
    ),
    "evaluate": (
        "app.cli.evaluation.evaluations:evaluate_places",
        "Judge places on a past period, beside the forecast's and last year's best cells of the same area.",
    ),
    "contest": (
        "app.cli.evaluation.contest:contest",
        "Choose cells as in NIJ's forecasting challenge, and judge them beside last year's on past periods.",
    ),
    "paper-table": (
        "app.cli.evaluation.paper:paper_table",
        "Print the study's Table 1: flow, KDE and GMM per hour of the week, and pooled models.",
    ),
    "fairness-report": (
        "app.cli.responsible_use:fairness",
        "Report the flagged area by neighbourhood, per head and between groups.",
    ),
    "model-card": (
        "app.cli.responsible_use:card",
        "Print a version's model card: data, limits, evaluation, fairness, prohibited uses.",
    ),
    "erase": (
        "app.cli.responsible_use:erase",
        "Erase an incident or an upload permanently; dependent versions are marked and replaced.",
    ),
    "demo": (
        "app.cli.demo:demo",
        "Create a region, ingest, compare the models on the last 28 days, retrain, serve.",
    ),
    "region create": ("app.cli.regions.region:create", "Create a region."),
    "region list": ("app.cli.regions.region:list_all", "List the regions."),
    "region edit": (
        "app.cli.regions.region:edit",
        "Correct a region; windows, coordinates and models that depend on it are made anew.",
    ),
    "region remove": (
        "app.cli.regions.region:remove",
        "Remove a region with all its incidents and models; asks for its id.",
    ),
    "region streets": (
        "app.cli.regions.streets:streets",
        "Set, show or remove a region's streets, by which segments are ranked and places named.",
    ),
    "region layer": (
        "app.cli.regions.layers:layer",
        "Store, print, list or remove layers of areas; set residents of the neighbourhoods.",
    ),
    "region policy": (
        "app.cli.regions.learning_policy:policy",
        "Show, change or remove a region's learning policy.",
    ),
    "categories show": (
        "app.cli.regions.categories:show",
        "List a region's categories, aliases, groups and weights.",
    ),
    "categories alias": (
        "app.cli.regions.categories:alias",
        "Count incidents of one name as another category; train again afterwards.",
    ),
    "categories group": (
        "app.cli.regions.categories:group",
        "Name several categories together, for use as a category.",
    ),
    "categories weight": (
        "app.cli.regions.categories:weight",
        "Weigh a category for forecasts with --weight harm.",
    ),
    "mapping list": ("app.cli.incidents:list_saved_mappings", "List a region's column mappings."),
    "mapping remove": (
        "app.cli.incidents:remove_saved_mapping",
        "Remove a column mapping; its incidents stay.",
    ),
    "source add": (
        "app.cli.sync:add",
        "Add a source; `hotslot sync` reads it, or a worker with --every-hours.",
    ),
    "source list": (
        "app.cli.sync:list_all",
        "List a region's sources, with their progress and next run.",
    ),
    "source remove": (
        "app.cli.sync:remove",
        "Remove a source; its incidents stay.",
    ),
    "source presets": (
        "app.cli.sync:presets",
        "List the preset cities with their licences.",
    ),
    "subscription add": (
        "app.cli.subscriptions:add",
        "Send zones at each new state, each morning or each shift; print a webhook's secret once.",
    ),
    "subscription list": (
        "app.cli.subscriptions:list_all",
        "List what is sent where, with numbers of deliveries.",
    ),
    "subscription remove": (
        "app.cli.subscriptions:remove",
        "Remove a subscription with its deliveries.",
    ),
    "subscription rotate": (
        "app.cli.subscriptions:rotate",
        "Give a webhook a new secret and print it once.",
    ),
    "subscription test": (
        "app.cli.subscriptions:test",
        "Send the next 24 hours now, from this process; status 1 if that fails.",
    ),
    "subscription deliveries": (
        "app.cli.subscriptions:deliveries",
        "List the newest deliveries, with the reason of the last failure.",
    ),
    "subscription retry": (
        "app.cli.subscriptions:retry",
        "Let dead deliveries wait again; a worker sends them.",
    ),
    "presence add": (
        "app.cli.presence:add",
        "Store where somebody was; a row that is sent again adds nothing.",
    ),
    "presence list": ("app.cli.presence:show", "Print the log in order of time."),
    "presence exposure": (
        "app.cli.presence:exposure",
        "Print hours of presence by cell as JSON; without --from those of the last 28 days.",
    ),
    "presence erase": ("app.cli.presence:erase", "Erase rows for good."),
    "register file": (
        "app.cli.register:file",
        "File the forecast of the region's next day; refused once the day has begun.",
    ),
    "register list": (
        "app.cli.register:show_all",
        "List what was filed, the newest first, and what it caught beside last year's list.",
    ),
    "register show": ("app.cli.register:show", "Print what was filed of a day, as JSON."),
    "register export": (
        "app.cli.register:export",
        "Export the whole register: scores as CSV, or all that was filed as NDJSON.",
    ),
    "register verify": (
        "app.cli.register:verify",
        "Check register and audit log; status 1 when a forecast or score was altered, removed or added.",
    ),
    "key create": (
        "app.cli.access:create",
        "Create a key and print it once. The first key ends access without keys.",
    ),
    "key list": ("app.cli.access:list_all", "List the keys; their secrets are not stored."),
    "key rotate": (
        "app.cli.access:rotate",
        "Replace the secret of a key and print the new key once.",
    ),
    "key revoke": (
        "app.cli.access:revoke",
        "Revoke a key permanently; services apply it within seconds.",
    ),
    "audit list": ("app.cli.access:newest", "Show the newest entries."),
    "audit head": (
        "app.cli.access:head",
        "Print the last entry of every chain; store it elsewhere as an anchor for `verify`.",
    ),
    "audit verify": (
        "app.cli.access:verify",
        "Check the log, and filed forecasts against it; status 1 when one was changed, removed or moved.",
    ),
}
"""Location and help of each command; modules are imported only when a command is run."""
GROUPS = {
    "region": "Regions: study area, time zone, cell size.",
    "categories": "Categories of a region: aliases, groups, weights.",
    "mapping": "Column mappings of a region.",
    "source": "Open-data sources of a region's incidents.",
    "subscription": "Who is sent which forecasts: webhooks, e-mail, folders.",
    "presence": "The presence log (optional): where somebody was, and what was done.",
    "register": "Forecasts filed before their day, scored after it.",
    "key": "API keys.",
    "audit": "The audit log.",
}
