// The module that documentation pages import as "./app.ts": an Express application.
import express from "express";

export const app = express();
