# Tables of real plots and sites from the data of R packages, as CSV files for benchmarks.real_sets:
#
#   apt install r-base-core r-cran-sp r-cran-gstat r-cran-spdata r-cran-fields r-cran-labdsv r-cran-vegan \
#     r-cran-ade4 r-cran-modeldata r-cran-randomfields r-cran-gss r-cran-cardata
#   Rscript benchmarks/real_tables.R FOLDER
#
# Columns: lon, lat (degrees), response, and features, all numbers. Coordinates in metres are divided by 111,320,
# those without a unit by the larger extent of the map: distances stay right, and the place on Earth is made up.
# Classes become columns of 0 and 1. Responses that span decades are rounded to whole numbers.

folder <- commandArgs(trailingOnly = TRUE)[1]
if (is.na(folder)) stop("name the folder for the tables: Rscript benchmarks/real_tables.R FOLDER")
dir.create(folder, showWarnings = FALSE, recursive = TRUE)

# The data of a package, without loading the package.
from <- function(package, name, file = name) {
  found <- new.env()
  data_folder <- system.file("data", package = package)
  if (data_folder == "") stop(paste("install the package", package))
  if (file.exists(file.path(data_folder, "Rdata.rdb"))) lazyLoad(file.path(data_folder, "Rdata"), found)
  else load(list.files(data_folder, paste0("^", file, "\\.(rda|RData)$"), full.names = TRUE)[1], found)
  get(name, found)
}

metres <- function(x, y) data.frame(lon = (x - mean(x, na.rm = TRUE)) / 111320, lat = (y - mean(y, na.rm = TRUE)) / 111320)
scaled <- function(x, y) {
  extent <- max(diff(range(x, na.rm = TRUE)), diff(range(y, na.rm = TRUE)))
  data.frame(lon = (x - mean(x, na.rm = TRUE)) / extent, lat = (y - mean(y, na.rm = TRUE)) / extent)
}
degrees <- function(lon, lat) data.frame(lon = ifelse(lon > 180, lon - 360, lon), lat = lat)
points <- function(geometry) t(sapply(unclass(geometry), function(point) unclass(point)[1:2]))

# Columns of 0 and 1 for the classes of a factor, named after it.
classes <- function(values, name) {
  values <- factor(values)
  out <- as.data.frame(sapply(levels(values), function(level) as.numeric(values == level)))
  setNames(out, paste(name, levels(values), sep = "."))
}

write_table <- function(name, place, response, features = NULL) {
  table <- cbind(place, response = as.numeric(response))
  if (!is.null(features)) table <- cbind(table, features)
  table <- table[complete.cases(table[, c("lon", "lat", "response")]), ]
  write.csv(table, file.path(folder, paste0(name, ".csv")), row.names = FALSE)
}

d <- from("spData", "boston.c", "boston")
write_table("boston", degrees(d$LON, d$LAT), round(d$CMEDV), data.frame(sapply(d[, c("CRIM", "ZN", "INDUS", "CHAS",
  "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT")], function(x) as.numeric(as.character(x)))))
d <- from("spData", "baltimore")
write_table("baltimore", scaled(d$X, d$Y), round(d$PRICE), d[, c("NROOM", "DWELL", "NBATH", "PATIO", "FIREPL", "AC",
  "BMENT", "NSTOR", "GAR", "AGE", "CITCOU", "LOTSZ", "SQFT")])
d <- from("spData", "nc.sids")
write_table("nc", degrees(d$lon, d$lat), d$SID74, data.frame(births = log(d$BIR74), share = d$NWBIR74 / d$BIR74))
d <- from("spData", "wheat")
write_table("wheat", scaled(d$lon, d$lat), d$yield)
d <- from("spData", "properties")
xy <- points(d$geometry)
write_table("properties", metres(xy[, 1], xy[, 2]), round(d$price / 1000),
  data.frame(size = d$size, age = d$age, distance = d$dist_metro))
d <- from("spData", "cycle_hire")
xy <- points(d$geometry)
write_table("cycle", degrees(xy[, 1], xy[, 2]), d$nbikes + d$nempty)
d <- as.data.frame(from("modeldata", "ames"))
numbers <- setdiff(names(d)[sapply(d, is.numeric)], c("Sale_Price", "Longitude", "Latitude"))
write_table("ames", degrees(d$Longitude, d$Latitude), round(d$Sale_Price / 1000), d[, numbers])
d <- as.data.frame(from("modeldata", "Sacramento"))
write_table("sacramento", degrees(d$longitude, d$latitude), round(d$price / 1000),
  cbind(d[, c("beds", "baths", "sqft")], classes(d$type, "type")))
d <- from("gstat", "fulmar")
write_table("fulmar", metres(d$x, d$y), round(d$fulmar), d[, c("year", "depth", "coast")])
d <- rbind(from("gstat", "jura.pred", "jura"), from("gstat", "jura.val", "jura"))
features <- cbind(classes(d$Landuse, "use"), classes(d$Rock, "rock"))
for (metal in c("Zn", "Ni")) write_table(paste0("jura-", metal), degrees(d$long, d$lat), round(d[[metal]]), features)
write_table("jura-Cd", degrees(d$long, d$lat), round(10 * d$Cd), features)
d <- from("gstat", "meuse.all")
features <- cbind(d[, c("elev", "dist.m")], classes(d$ffreq, "flood"), classes(d$soil, "soil"), classes(d$landuse, "use"))
write_table("meuse-zinc", metres(d$x, d$y), d$zinc, features)
write_table("meuse-om", metres(d$x, d$y), d$om, features)
d <- from("gstat", "pcb")
write_table("pcb", metres(d$x, d$y), round(d$PCB138), d[, c("year", "coast", "depth")])
d <- from("gstat", "coalash")
write_table("coalash", scaled(d$x, d$y), d$coalash)
one <- from("gstat", "sic.train", "sic2004")
other <- from("gstat", "sic.val", "sic2004")
write_table("sic2004", metres(c(one$x, other$x), c(one$y, other$y)), round(c(one$day01, other$dayx)))
d <- from("gstat", "walker")
write_table("walker", scaled(d@coords[, 1], d@coords[, 2]), round(d@data$V), data.frame(type = as.numeric(d@data$T)))
d <- from("fields", "NorthAmericanRainfall")
write_table("rain", degrees(d$longitude, d$latitude), round(d$precip), data.frame(elevation = d$elevation))
place <- from("fields", "CO.loc", "COmonthlyMet")
elevation <- data.frame(elevation = from("fields", "CO.elev", "COmonthlyMet"))
write_table("colorado-rain", degrees(place[, 1], place[, 2]), round(from("fields", "CO.ppt.MAM.climate", "COmonthlyMet")), elevation)
write_table("colorado-heat", degrees(place[, 1], place[, 2]), from("fields", "CO.tmax.MAM.climate", "COmonthlyMet"), elevation)
d <- from("gss", "LakeAcidity")
write_table("lakes", degrees(d$lon, d$lat), d$ph, data.frame(calcium = d$cal))
d <- from("labdsv", "brycesite")
write_table("bryce", metres(d$east, d$north), rowSums(from("labdsv", "bryceveg") > 0),
  cbind(d[, c("annrad", "asp", "av", "elev", "grorad", "slope")], classes(d$depth, "depth"), classes(d$pos, "position")))
d <- from("ade4", "mafragh")
write_table("mafragh", scaled(d$xy[, 1], d$xy[, 2]), rowSums(d$flo > 0), d$env)
d <- from("ade4", "jv73")
write_table("jv73", scaled(d$xy[, 1], d$xy[, 2]), rowSums(d$poi > 0), cbind(d$phychi, d$morpho))
d <- from("ade4", "vegtf")
write_table("vegtf", scaled(d$xy[, 1], d$xy[, 2]), rowSums(d$veg > 0))
d <- from("vegan", "mite.env")
place <- from("vegan", "mite.xy")
mites <- from("vegan", "mite")
features <- cbind(d[, c("SubsDens", "WatrCont")], classes(d$Substrate, "substrate"), classes(d$Shrub, "shrub"), classes(d$Topo, "topography"))
write_table("mite", scaled(place$x, place$y), rowSums(mites > 0), features)
write_table("mite-number", scaled(place$x, place$y), rowSums(mites), features)
d <- from("vegan", "BCI.env")
write_table("bci", metres(d$UTM.EW, d$UTM.NS), rowSums(from("vegan", "BCI") > 0),
  cbind(data.frame(heterogeneity = d$EnvHet), classes(d$Habitat, "habitat")))
d <- from("RandomFields", "weather")
write_table("weather", degrees(d[, "lon"], d[, "lat"]), d[, "temperature"], data.frame(pressure = d[, "pressure"]))
d <- from("RandomFields", "ca20.df", "ca20")
write_table("ca20", scaled(d$east, d$north), round(d$data), cbind(data.frame(altitude = d$altitude), classes(d$area, "area")))
d <- from("carData", "Depredations")
write_table("depredations", degrees(d$longitude, d$latitude), d$number)
d <- datasets::quakes
write_table("quakes", degrees(d$long, d$lat), d$stations, d[, c("depth", "mag")])
