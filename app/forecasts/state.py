"""The process's forecast service, handed to routes by dependency."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.forecasts.service import ForecastService


def _forecasts(request: Request) -> ForecastService:
    service: ForecastService = request.app.state.forecasts
    return service


Forecasts = Annotated[ForecastService, Depends(_forecasts)]
