"""HTTP reads."""

import asyncpg
from fastapi import APIRouter


def router(pool: asyncpg.Pool) -> APIRouter:  # noqa: ARG001
    """Routes."""
    return APIRouter()
