"""The life of one session: started, watched, taken in, ended."""

from core.sessions.keeper import Keeper

__all__ = ["Keeper"]
