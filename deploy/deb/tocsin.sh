#!/bin/sh
exec /usr/lib/tocsin/node /usr/lib/tocsin/agent/main.ts "$@"
