import { limitSuite } from "./limit-suite.ts";
import { eachStoreAndBinding, onSqlite } from "./stores.ts";

eachStoreAndBinding((_name, create, making) => limitSuite(create, making), onSqlite);
